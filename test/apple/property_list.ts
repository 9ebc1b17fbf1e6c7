// XML property lists of dictionaries, arrays and strings, which is all that an .xcframework's Info.plist has.

export type PropertyList = string | readonly PropertyList[] | { readonly [key: string]: PropertyList };

/** Reads a property list; throws a SyntaxError for anything but the three kinds. */
export function readPropertyList(text: string): PropertyList {
  const body =
    /^<\?xml [^>]*\?>\s*<!DOCTYPE plist PUBLIC "[^"]*" "[^"]*">\s*<plist version="1.0">(.*)<\/plist>\s*$/s.exec(
      text,
    )?.[1];
  if (body === undefined) throw new SyntaxError("The text is not a property list of version 1.0");
  const tokens = body.match(/<[^>]*>|[^<]+/g)?.filter((token) => token.trim() !== "") ?? [];
  let at = 0;
  const expect = (token: string): void => {
    if (tokens[at++] !== token) throw new SyntaxError(`"${tokens[at - 1]}" stands where "${token}" should`);
  };
  const readText = (tag: string): string => {
    expect(`<${tag}>`);
    const value = tokens[at++];
    expect(`</${tag}>`);
    return value;
  };
  const readValue = (): PropertyList => {
    switch (tokens[at]) {
      case "<array>": {
        const elements: PropertyList[] = [];
        for (at++; tokens[at] !== "</array>"; ) elements.push(readValue());
        at++;
        return elements;
      }
      case "<dict>": {
        const entries: [string, PropertyList][] = [];
        for (at++; tokens[at] !== "</dict>"; ) entries.push([readText("key"), readValue()]);
        at++;
        return Object.fromEntries(entries);
      }
      default:
        return readText("string");
    }
  };
  const value = readValue();
  if (at !== tokens.length) throw new SyntaxError(`"${tokens[at]}" follows the property list`);
  return value;
}
