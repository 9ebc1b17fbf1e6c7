/** Devices that say something else of themselves than they are, so that every way of placing weights can be tried. */
import { BridgeError, Device, type DeviceInfo } from "../../src/runtime/index.ts";

/** Opens a device whose `info` is changed. The caller disposes it. */
export function deviceAs(changes: Partial<DeviceInfo>, name?: string): Device {
  const device = Device.open(name);
  Object.defineProperty(device, "info", { value: { ...device.info, ...changes } });
  return device;
}

/** Opens a device that wraps no memory, as those of virtual Macs. The caller disposes it. */
export function deviceWithoutMappings(changes: Partial<DeviceInfo> = {}): Device {
  const device = deviceAs(changes);
  const refuse = (): never => {
    throw new BridgeError("memory", "The device refused to wrap memory");
  };
  Object.defineProperty(device, "wrap", { value: refuse });
  return device;
}
