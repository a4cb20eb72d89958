/** Lines of a file that is read as it comes. */

/** Lines without their ends. Throws a TypeError if the file is not UTF-8. */
export async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, undefined> {
  let rest = '';
  for await (const text of stream.pipeThrough(new TextDecoderStream('utf-8', { fatal: true }))) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** The bytes of an element that the page was built with: base64 of gzip. */
export function embedded(id: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const text = document.getElementById(id)?.textContent ?? '';
  const packed = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
  return new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
}
