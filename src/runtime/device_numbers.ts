/** What the bridge says of a device in numbers, by their names. */
import { type Bridge, deviceNumbers, type Handle } from "../ffi/index.ts";

/** Gives the number of a name. */
export type DeviceNumbers = (name: (typeof deviceNumbers)[number]) => number;

/**
 * A device's numbers, as of now.
 *
 * @throws {BridgeError} If they cannot be read.
 */
export function readDeviceNumbers(bridge: Bridge, device: Handle): DeviceNumbers {
  const { numbers, isRead } = askForNumbers(bridge, device);
  if (!isRead) throw bridge.failure("Cannot read a device's properties");
  return numbers;
}

/** Bytes of the device's own memory, as of now, to explain an error, which this does not replace: NaN where nobody can tell. */
export function deviceMemory(
  bridge: Bridge,
  device: Handle,
): { readonly available: number; readonly total: number } {
  const { numbers } = askForNumbers(bridge, device);
  return { available: numbers("availableMemory"), total: numbers("totalMemory") };
}

function askForNumbers(
  bridge: Bridge,
  device: Handle,
): { readonly numbers: DeviceNumbers; readonly isRead: boolean } {
  const values = new Float64Array(deviceNumbers.length).fill(Number.NaN);
  const isRead = bridge.symbols.bm_device_numbers(device, values, values.length) === 0;
  return { numbers: (name) => values[deviceNumbers.indexOf(name)], isRead };
}
