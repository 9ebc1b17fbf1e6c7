// Devices: what there is, and opening one.
import { describe, expect, test } from "bun:test";
import { BridgeError, Device, ReleasedError } from "../../src/runtime/index.ts";
import { checkLeaks } from "./leaks.ts";

describe("Device", () => {
  test("Device.list() describes each device", () => {
    const infos = Device.list();
    expect(infos.length).toBeGreaterThan(0);
    expect(new Set(infos.map((info) => info.id)).size).toBe(infos.length);
    infos.forEach((info, index) => {
      expect(info.index).toBe(index);
      expect(info.name).not.toBe("");
      expect(info.architecture).not.toBe("");
      expect(info.id.split(":")[0]).toBe(info.backend);
      expect(info.maxBufferLength).toBeGreaterThanOrEqual(2 ** 28);
      expect(info.workingSet).toBeGreaterThan(0);
      expect(info.maxThreadgroupMemory).toBeGreaterThanOrEqual(16384);
      expect(Math.min(...info.maxThreadsPerThreadgroup)).toBeGreaterThanOrEqual(64);
      expect(info.pageSize % 4096).toBe(0);
    });
  });

  test("Device.open() opens each listed device by its id", () => {
    for (const info of Device.list()) {
      using device = Device.open(info.id);
      expect(device.info).toEqual(info);
      expect(device.label).toContain(info.id);
    }
  });

  test('Device.open() takes "auto" for the best device there is', () => {
    using device = Device.open("auto");
    expect(Device.list().map((info) => info.id)).toContain(device.info.id);
  });

  test("Device.open() lists what there is where a device is unknown", () => {
    for (const name of ["abacus", "cpu:7", "", " cpu"]) {
      const open = () => Device.open(name);
      expect(open).toThrow(BridgeError);
      expect(open).toThrow(`Cannot open device "${name}"`);
      for (const info of Device.list()) expect(open).toThrow(`"${info.id}"`);
    }
  });

  test("Device.open() makes devices that are independent of each other", () => {
    using first = Device.open();
    const second = Device.open();
    using buffer = second.buffer(16);
    second.dispose();
    expect(() => second.queue).toThrow(ReleasedError);
    buffer.bytes().fill(1);
    expect(() => buffer.fill(0)).toThrow(ReleasedError);
    using other = first.buffer(16);
    other.fill(7);
    expect([...other.bytes()]).toEqual(new Array(16).fill(7));
  });

  test("Device.liveHandles() and statistics() follow what is made", () => {
    using device = Device.open();
    device.queue.idle();
    const handles = Device.liveHandles();
    const { bufferBytes } = Device.statistics();
    const buffers = [device.buffer(1000), device.buffer(24)];
    expect(Device.liveHandles()).toEqual({ ...handles, buffer: handles.buffer + 2 });
    expect(Device.statistics().bufferBytes).toBe(bufferBytes + 1024);
    expect(Device.statistics().peakBufferBytes).toBeGreaterThanOrEqual(bufferBytes + 1024);
    for (const buffer of buffers) buffer.dispose();
    expect(Device.liveHandles()).toEqual(handles);
    expect(Device.statistics().bufferBytes).toBe(bufferBytes);
  });

  test("Device.liveObjects() adds up to the number of objects", () => {
    using device = Device.open();
    using _buffer = device.buffer(64);
    const { objects } = Device.statistics();
    const classes = Device.liveObjects();
    if (Number.isNaN(objects)) {
      expect(classes.size).toBe(0);
      return;
    }
    expect([...classes.values()].reduce((sum, count) => sum + count, 0)).toBe(objects);
    expect(objects).toBeGreaterThan(0);
  });

  test("Device.shaders() is opened once, and goes with the device", () => {
    const device = Device.open();
    const library = device.shaders();
    expect(device.shaders()).toBe(library);
    expect(library.functionNames).toContain("rmsnorm_f32");
    device.dispose();
    expect(library.disposed).toBe(true);
    expect(() => device.shaders()).toThrow(ReleasedError);
  });
});

checkLeaks();
