// Features of a device: their names, and opening a device without some.
import { afterEach, describe, expect, test } from "bun:test";
import { Device, type Feature } from "../../src/runtime/index.ts";

const environment = process.env.BUN_METAL_DISABLE;
afterEach(() => {
  if (environment === undefined) delete process.env.BUN_METAL_DISABLE;
  else process.env.BUN_METAL_DISABLE = environment;
});

describe("features", () => {
  test("Device.open() does without what the option disable names", () => {
    using device = Device.open();
    expect(device.info.features).toContain("concurrent-dispatch");
    for (const feature of device.info.features) {
      using without = Device.open(device.info.id, { disable: [feature] });
      expect(without.info.features).toEqual(device.info.features.filter((other) => other !== feature));
    }
    using bare = Device.open(device.info.id, { disable: device.info.features });
    expect(bare.info.features).toEqual([]);
  });

  test("BUN_METAL_DISABLE holds for every device", () => {
    process.env.BUN_METAL_DISABLE = " concurrent-dispatch,, thread-qos ,";
    for (const info of Device.list()) {
      expect(info.features).not.toContain("concurrent-dispatch");
      using device = Device.open(info.id);
      expect(device.info).toEqual(info);
    }
  });

  test("a feature that is not one is refused, with a list of those that are", () => {
    const names = ["concurrent-dispatch", "indirect-commands", "residency-sets", "unretained-references"];
    const open = () => Device.open("auto", { disable: ["warp-drive" as Feature] });
    for (const name of [...names, "shader-cache", "thread-qos", "the option disable"])
      expect(open).toThrow(name);
    process.env.BUN_METAL_DISABLE = "thread-qos,warp-drive";
    expect(() => Device.list()).toThrow(/"warp-drive", which BUN_METAL_DISABLE names.*"shader-cache"/);
    expect(() => Device.open()).toThrow(RangeError);
  });
});
