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

/// How the arena is aligned; what wants more goes to the standard allocator.
const ALIGN: usize = 16;

struct Arena(UnsafeCell<State>);

struct State {
    /// How much is taken, from the start.
    top: usize,
    /// Allocations that were not freed.
    live: usize,
}

// SAFETY: a component without threads is never entered by two of them.
unsafe impl Sync for Arena {}

// `ALIGN` bytes, which `repr` wants as a number.
#[repr(align(16))]
struct Space(UnsafeCell<[u8; SIZE]>);

// SAFETY: as above.
unsafe impl Sync for Space {}

const _: () = assert!(align_of::<Space>() == ALIGN);

static SPACE: Space = Space(UnsafeCell::new([0; SIZE]));

#[global_allocator]
static ARENA: Arena = Arena(UnsafeCell::new(State { top: 0, live: 0 }));

impl State {
    /// Where in the arena there is room.
    #[inline]
    fn alloc(&mut self, layout: Layout) -> Option<usize> {
        if layout.align() > ALIGN {
            return None;
        }
        let offset = self.top.next_multiple_of(layout.align());
        let end = offset.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
        self.top = end;
        self.live += 1;
        Some(offset)
    }

    #[inline]
    fn dealloc(&mut self, offset: usize, size: usize) {
        self.live -= 1;
        if self.live == 0 {
            self.top = 0;
        } else if offset + size == self.top {
            self.top = offset;
        }
    }
}

fn start() -> *mut u8 {
    SPACE.0.get().cast()
}

/// Where in the arena a pointer points; none if it is not the arena's.
#[inline]
fn offset(ptr: *mut u8) -> Option<usize> {
    let offset = ptr.addr().wrapping_sub(start().addr());
    (offset < SIZE).then_some(offset)
}

// SAFETY: an address of the arena is given out once until it is freed, because
// `top` only moves back over what was freed; everything else is the system's.
unsafe impl GlobalAlloc for Arena {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: there is one thread, and no reference to the state outlives a method.
        match unsafe { &mut *self.0.get() }.alloc(layout) {
            Some(offset) => start().wrapping_add(offset),
            // SAFETY: the caller's promises are those that the system asks for.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        match offset(ptr) {
            // SAFETY: as in `alloc`.
            Some(offset) => unsafe { &mut *self.0.get() }.dealloc(offset, layout.size()),
            // SAFETY: what is not the arena's came from the system.
            None => unsafe { System.dealloc(ptr, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(offset) = offset(ptr) else {
            // SAFETY: what is not the arena's came from the system.
            return unsafe { System.realloc(ptr, layout, new_size) };
        };
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        if offset + layout.size() == state.top && offset.saturating_add(new_size) <= SIZE {
            state.top = offset + new_size;
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
