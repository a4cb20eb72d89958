//! The allocator: an arena for what a call allocates, in front of the standard
//! allocator.
//!
//! Nothing is kept on the heap between calls, so when the last allocation of a
//! call is freed (by the host's post-return) the arena is empty and starts
//! over. Most calls fit into it and then allocating is an addition. Whatever
//! does not fit goes to the standard allocator, so that long calls reuse their
//! memory.
//!
//! This is the component's one module with `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;

/// The arena's size. A page of a thousand records has about as much.
const SIZE: usize = 1 << 20;

struct Arena(UnsafeCell<State>);

struct State {
    /// Where the next allocation starts; 0 before the first.
    top: usize,
    /// Allocations that were not freed.
    live: usize,
    /// Where the arena starts, and where it ends.
    start: usize,
    end: usize,
}

// SAFETY: a component without threads is never entered by two of them.
unsafe impl Sync for Arena {}

#[repr(align(16))]
struct Space(UnsafeCell<[u8; SIZE]>);

// SAFETY: as above.
unsafe impl Sync for Space {}

static SPACE: Space = Space(UnsafeCell::new([0; SIZE]));

#[global_allocator]
static ARENA: Arena = Arena(UnsafeCell::new(State { top: 0, live: 0, start: 0, end: 0 }));

impl State {
    #[inline]
    fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.start) < SIZE && self.start != 0
    }

    #[inline]
    fn alloc(&mut self, layout: Layout) -> Option<usize> {
        if self.start == 0 {
            self.start = SPACE.0.get().addr();
            (self.top, self.end) = (self.start, self.start + SIZE);
        }
        let address = (self.top + layout.align() - 1) & !(layout.align() - 1);
        let end = address.checked_add(layout.size()).filter(|end| *end <= self.end)?;
        self.top = end;
        self.live += 1;
        Some(address)
    }

    #[inline]
    fn dealloc(&mut self, address: usize, size: usize) {
        self.live -= 1;
        if self.live == 0 {
            self.top = self.start;
        } else if address + size == self.top {
            self.top = address;
        }
    }
}

/// A pointer into the arena.
fn pointer(address: usize) -> *mut u8 {
    let start = SPACE.0.get().cast::<u8>();
    start.wrapping_add(address - start.addr())
}

// SAFETY: an address of the arena is given out once until it is freed, because
// `top` only moves back over what was freed; everything else is the system's.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: there is one thread, and no reference to the state outlives a method.
        match unsafe { &mut *self.0.get() }.alloc(layout) {
            Some(address) => pointer(address),
            // SAFETY: the caller's promises are those that the system asks for.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        if state.holds(ptr.addr()) {
            state.dealloc(ptr.addr(), layout.size());
        } else {
            // SAFETY: what is not the arena's came from the system.
            unsafe { System.dealloc(ptr, layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        if !state.holds(ptr.addr()) {
            // SAFETY: what is not the arena's came from the system.
            return unsafe { System.realloc(ptr, layout, new_size) };
        }
        let address = ptr.addr();
        if address + layout.size() == state.top && address.saturating_add(new_size) <= state.end {
            state.top = address + new_size;
            return ptr;
        }
        if new_size <= layout.size() {
            return ptr;
        }
        // SAFETY: the caller promises that the new size is valid for this alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are valid for the old size, which is the smaller, and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(ptr, new, layout.size()) };
            // SAFETY: the caller gives the old allocation up.
            unsafe { self.dealloc(ptr, layout) };
        }
        new
    }
}
