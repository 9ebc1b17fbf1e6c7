/**
 * The package's shaders as one text, for a device that compiles them itself: Metal's run-time compiler knows no include
 * paths, so quoted includes are put in their places, each once.
 */
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Joins the .metal files of a directory, in the order of their names.
 *
 * @param readFile Returns a file's text.
 * @throws whatever `readFile` throws for a file that is not there.
 */
export function readShaderSource(directory: string, readFile: (path: string) => string): string {
  const seen = new Set<string>();
  const expand = (path: string): string => {
    if (seen.has(path)) return "";
    seen.add(path);
    const lines = readFile(path).split("\n");
    const expanded = lines.map((line, i) => {
      const include = /^\s*#\s*include\s*"([^"]+)"/.exec(line)?.[1];
      if (include !== undefined) {
        return `${expand(join(dirname(path), include))}\n#line ${i + 2} "${basename(path)}"`;
      }
      return /^\s*#\s*pragma\s+once\b/.test(line) ? "" : line;
    });
    return `#line 1 "${basename(path)}"\n${expanded.join("\n")}\n`;
  };
  const files = readdirSync(directory).filter((file) => file.endsWith(".metal"));
  return files
    .sort()
    .map((file) => expand(join(directory, file)))
    .join("");
}
