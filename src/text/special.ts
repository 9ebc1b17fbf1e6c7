import type { SpecialToken } from "./tokens.ts";

/**
 * Cuts text at special tokens. As in llama.cpp, each token in turn, the longest first, is cut out everywhere, so that a
 * longer token wins over a shorter one that begins before it.
 *
 * @param special Special tokens, the longest first.
 * @param parseControl Whether control tokens are found too; else their look-alikes stay text.
 * @returns Stretches of text (never empty) and token ids, in order.
 */
export function splitAtSpecialTokens(
  text: string,
  special: readonly SpecialToken[],
  parseControl: boolean,
): (string | number)[] {
  let parts: (string | number)[] = text === "" ? [] : [text];
  for (const token of special) {
    // The whole text is asked first: one fast search for most tokens, however many parts there are already.
    if ((token.isControl && !parseControl) || !text.includes(token.text)) continue;
    parts = parts.flatMap((part) => (typeof part === "string" ? cut(part, token) : [part]));
  }
  return parts;
}

function cut(text: string, token: SpecialToken): (string | number)[] {
  const parts: (string | number)[] = [];
  let from = 0;
  for (let at = text.indexOf(token.text); at >= 0; at = text.indexOf(token.text, from)) {
    if (at > from) parts.push(text.slice(from, at));
    parts.push(token.id);
    from = at + token.text.length;
    while (token.stripsAfter && isAsciiSpace(text.charCodeAt(from))) from++;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

/** Space, tab, line feed, vertical tab, form feed and carriage return; not NaN, which is the end. */
function isAsciiSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
