/** The garbage collector, called by name: Bun's own, or V8's with `--expose-gc`. */
export function collectGarbage(): void {
  const { Bun: bun, gc } = globalThis as {
    readonly Bun?: { gc(force: boolean): void };
    readonly gc?: () => void;
  };
  if (bun !== undefined) bun.gc(true);
  else if (gc !== undefined) gc();
  else throw new Error("The collector cannot be called: run Deno with --v8-flags=--expose-gc");
}
