/**
 * Byte-level BPE writes each byte as one printable letter, so that a vocabulary is plain text: printable Latin-1
 * characters stand for themselves, the other 68 bytes for the letters from U+0100 on. A space is "Ġ". (Defined by
 * `bytes_to_unicode` in https://github.com/openai/gpt-2/blob/master/src/encoder.py.)
 */
export const byteLetters: readonly string[] = makeByteLetters();

const letterBytes: ReadonlyMap<string, number> = new Map(byteLetters.map((letter, byte) => [letter, byte]));

function makeByteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    return String.fromCharCode(isPrintable ? byte : next++);
  });
}

/** Returns the bytes that letters stand for. Other characters, which no well-made vocabulary has, keep their UTF-8. */
export function bytesOfLetters(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = letterBytes.get(character);
    if (byte !== undefined) bytes.push(byte);
    else bytes.push(...new TextEncoder().encode(character));
  }
  return Uint8Array.from(bytes);
}
