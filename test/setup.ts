// Loaded before every test file (bunfig.toml). No test is about time: a slow machine is no failure, a hang is.
import { setDefaultTimeout } from "bun:test";

setDefaultTimeout(180_000);
