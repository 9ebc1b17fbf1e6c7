/** The environment's variables, as far as this program may know them. */
import { denoNamespace } from "./deno_namespace.ts";

/**
 * Returns the value of an environment variable; undefined where it is not set, and in Deno where it was not allowed
 * (`--allow-env=NAME`) to read it: nothing here is worth asking a person for.
 */
export function environmentVariable(name: string): string | undefined {
  const deno = denoNamespace();
  if (deno !== undefined && deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") {
    return undefined;
  }
  return process.env[name];
}
