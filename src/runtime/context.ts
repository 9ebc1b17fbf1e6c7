/** What a device says of itself, and what the objects made by one need of it. */
import type { Bridge, Handle, storageModes } from "../ffi/index.ts";
import type { Feature } from "./features.ts";
import type { Queue } from "./queue.ts";

/** What runs the kernels: Apple's Metal, or Metal for Linux on the CPU or on an NVIDIA GPU. */
export type Backend = "metal" | "cpu" | "cuda";

/** Properties of a device; they do not change. */
export interface DeviceInfo {
  /** What `Device.open` calls it: `"cpu"`, `"metal"`, `"cuda"`, and `"cuda:1"` for the second of a kind. */
  readonly id: string;
  /** Its position in the bridge's list. */
  readonly index: number;
  readonly name: string;
  /** `"cpu-..."`, `"cuda-..."`, or Apple's name, as `"applegpu_g13g"`. */
  readonly architecture: string;
  readonly backend: Backend;
  /** Whether the CPU and the device share memory. */
  readonly unifiedMemory: boolean;
  /** Bytes of the largest buffer. */
  readonly maxBufferLength: number;
  /** Bytes that are best not exceeded in total. */
  readonly workingSet: number;
  /** Bytes. */
  readonly maxThreadgroupMemory: number;
  /** By dimension: x, y, z. */
  readonly maxThreadsPerThreadgroup: readonly [number, number, number];
  /** Whether `simdgroup_matrix` works. */
  readonly simdgroupMatrix: boolean;
  /** True where the threads of a SIMD group run one after the other: the CPU device. */
  readonly serialLanes: boolean;
  /** Bytes: alignment and granularity of wrapped memory and mapped files. */
  readonly pageSize: number;
  /** Where weights are best kept: `"private"` where the device's memory is its own, `"shared"` otherwise. */
  readonly weightStorage: (typeof storageModes)[number];
  /** Whether a grid may count threads, with smaller threadgroups at its edges. */
  readonly nonuniformThreadgroups: boolean;
  /** What the device uses to work faster; `Device.open` can do without. No result depends on it. */
  readonly features: readonly Feature[];
}

/** A device, as far as its buffers and programs know it. */
export interface DeviceContext {
  readonly bridge: Bridge;
  readonly handle: Handle;
  readonly info: DeviceInfo;
  readonly queue: Queue;
}
