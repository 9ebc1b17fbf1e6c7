/** The package as somebody installs it: in an empty directory, with empty caches, no network and no compiler. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execute, type Outcome, outputOf, root, tarball } from "./distribution.ts";

/** Where the README's example looks for its model. */
const model = "examples/models/austen-5m-q8_0.gguf";

/** The README's first example, with a seed, so that its text is the same each time. */
export function readmeExample(): string {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const example = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)]
    .map(([, code]) => code)
    .find((code) => code.includes("Llama.load"));
  const seeded = example?.replace("maxTokens: 128", "maxTokens: 16, seed: 7");
  if (seeded === undefined || seeded === example)
    throw new Error("README.md has no example with maxTokens: 128");
  return seeded;
}

/** Writes the example and its model into a directory. */
export function writeExample(directory: string): void {
  mkdirSync(join(directory, "examples/models"), { recursive: true });
  cpSync(join(root, model), join(directory, model));
  writeFileSync(join(directory, "main.ts"), readmeExample());
}

/** A directory of an application, whose package.json depends on the tarball alone. */
export class Installation implements Disposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "bun-metal-install-"));
  /** All that programs see: no compiler, no caches, no registry. */
  readonly environment: Readonly<Record<string, string>>;

  constructor() {
    const programs = join(this.directory, "programs");
    const home = join(this.directory, "home");
    mkdirSync(programs);
    mkdirSync(home);
    symlinkSync(process.execPath, join(programs, "bun"));
    this.environment = {
      PATH: programs,
      HOME: home,
      BUN_INSTALL_CACHE_DIR: join(home, "bun"),
      DENO_DIR: join(home, "deno"),
      BUN_CONFIG_REGISTRY: "http://127.0.0.1:9/",
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
    };
    // The one package that ours needs comes from the clone instead of a registry, without what its own tests need.
    const jinja = "@huggingface/jinja";
    cpSync(join(root, "node_modules", jinja), join(this.directory, "jinja"), {
      recursive: true,
      dereference: true,
    });
    const manifest: Record<string, unknown> = JSON.parse(
      readFileSync(join(this.directory, "jinja/package.json"), "utf8"),
    );
    writeFileSync(
      join(this.directory, "jinja/package.json"),
      JSON.stringify({ ...manifest, devDependencies: undefined }),
    );
    writeFileSync(
      join(this.directory, "package.json"),
      JSON.stringify({ private: true, type: "module", overrides: { [jinja]: "file:./jinja" } }),
    );
    writeExample(this.directory);
  }

  /** `bun add` of the tarball. */
  async install(): Promise<string> {
    cpSync(tarball(), join(this.directory, "bun-metal.tgz"));
    return outputOf([process.execPath, "add", "./bun-metal.tgz"], {
      cwd: this.directory,
      environment: this.environment,
    });
  }

  /** Runs a program of the application. */
  run(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Outcome> {
    return execute(command, { cwd: this.directory, environment: { ...this.environment, ...environment } });
  }

  /** A file of the installed package. */
  file(path: string): string {
    return join(this.directory, "node_modules/bun-metal", path);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
