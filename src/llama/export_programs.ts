/** The compiled steps of a model as a plan file has them: programs, kernels, buffers, and what the buffers hold. */
import {
  compileRelocatable,
  KernelTable,
  type KernelTarget,
  Nodes,
  NumberedMemory,
  type RelocatableProgram,
} from "../tensor/index.ts";
import { type KvType, layoutCache } from "./cache.ts";
import type { LlamaConfig } from "./config.ts";
import { NONE, SectionWriter } from "./plan_file.ts";
import { packTables, type RopeTables } from "./rope_tables.ts";
import { buildStep, stepSizes } from "./step_graph.ts";
import { layoutWeights, placeIn } from "./weight_buffers.ts";
import type { LlamaWeights, WeightPlace } from "./weights.ts";

/** PLAN_BUFFER_* of bridge/model/format.h. */
const roles = { weights: 1, data: 2, scratch: 3, cache: 4, logits: 5 } as const;

export type ProgramOptions = {
  readonly target: KernelTarget;
  readonly contextLength: number;
  readonly batchSize: number;
  readonly kvType: KvType;
  /** Bytes of the largest buffer that the weights may lie in. */
  readonly maxBufferLength: number;
  /** Bytes that mapped parts of the file begin at multiples of. */
  readonly pageSize: number;
};

/** Sections of a plan file, and what they hold for people. */
export type CompiledSteps = {
  readonly kernels: Uint8Array;
  readonly buffers: Uint8Array;
  readonly data: Uint8Array;
  readonly programs: Uint8Array;
  /** Blocks of the KV cache. */
  readonly blockCount: number;
  /** Rows of the largest step. */
  readonly rows: number;
  readonly usesSimdgroupMatrix: boolean;
  readonly kernelCount: number;
  readonly weightBuffers: number;
  readonly cacheBytes: number;
};

type BufferEntry = { readonly role: number; readonly offset: number; readonly byteLength: number };

/** Numbers buffers in the order in which they are asked for. */
class BufferTable {
  readonly entries: BufferEntry[] = [];

  add(role: number, byteLength: number, offset = 0): NumberedMemory {
    this.entries.push({ role, offset, byteLength });
    return new NumberedMemory(this.entries.length - 1, byteLength);
  }
}

/**
 * Compiles the steps of a model for one sequence, with logits after the last row only.
 *
 * @throws {ModelError} if a tensor alone is over the largest buffer
 * @throws {MemoryError} if the keys of one layer are
 */
export function compileSteps(
  config: LlamaConfig,
  places: LlamaWeights<WeightPlace>,
  rope: RopeTables,
  options: ProgramOptions,
): CompiledSteps {
  const { target, kvType, contextLength, maxBufferLength } = options;
  const layout = layoutCache(config, { contextLength, maxSequences: 1, kvType }, maxBufferLength);
  const table = new BufferTable();
  const weight = placeWeights(table, places, options);
  const data = packTables(rope);
  const frequencies = table.add(roles.data, data.byteLength);
  const memories = layout.buffers.map((byteLength) => table.add(roles.cache, byteLength));
  const logits = table.add(roles.logits, config.vocabularySize * 4);
  const arena = { handle: table.entries.length }; // its length is known when all steps are compiled

  const kernels = new KernelTable();
  const programs = new SectionWriter();
  const sizes = stepSizes(options.batchSize);
  programs.u32(sizes.length);
  let arenaBytes = 0;
  for (const rows of sizes) {
    const nodes = new Nodes();
    buildStep(
      nodes,
      { rows, logitRows: 1 },
      {
        config,
        places,
        weight,
        rope,
        frequencies,
        cache: { memories, type: kvType, layout },
        sequenceCount: 1,
      },
    );
    const program = compileRelocatable(nodes, { target, kernels, arena, outputs: { logits } });
    arenaBytes = Math.max(arenaBytes, program.arenaBytes);
    writeProgram(programs, nodes, program);
  }
  table.add(roles.scratch, arenaBytes);

  return {
    kernels: encodeKernels(kernels),
    buffers: encodeBuffers(table),
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    programs: programs.finish(),
    blockCount: layout.blockCount,
    rows: sizes[sizes.length - 1],
    usesSimdgroupMatrix: kernels.entries.some(({ name }) => /^(matmul|attention_tiled)_/.test(name)),
    kernelCount: kernels.entries.length,
    weightBuffers: table.entries.filter(({ role }) => role === roles.weights).length,
    cacheBytes: layout.byteLength,
  };
}

/** Adds the buffers of the weights, and returns where each weight lies. */
function placeWeights(
  table: BufferTable,
  places: LlamaWeights<WeightPlace>,
  options: ProgramOptions,
): (place: WeightPlace) => { memory: NumberedMemory; offset: number } {
  const layout = layoutWeights(places, options);
  const memories = layout.chunks.map(({ offset, byteLength }) =>
    table.add(roles.weights, byteLength, offset),
  );
  return (place) => {
    const { chunk, offset } = placeIn(layout, place);
    return { memory: memories[chunk], offset };
  };
}

/** A step: where its words are, those that follow from others, those that never change, then the program's words. */
function writeProgram(out: SectionWriter, nodes: Nodes, program: RelocatableProgram): void {
  const [rows, wantedRows] = nodes.dynamicRows;
  const words = new Map<string, number>();
  for (const { source } of nodes.tensors) if (source.kind === "words") words.set(source.name, source.word);
  const word = (name: string): number => words.get(name) ?? NONE;
  const { derived, fixed, bytes } = program;
  out.u32(rows.max, program.wordCount, rows.word);
  out.u32(word("tokens"), word("positions"), word("sequences"), word("slots"), word("blockTables"));
  out.u32(wantedRows?.word ?? NONE, word("wanted"));
  out.u32(derived.length, fixed.size, bytes.length / 4);
  for (const each of derived) out.u32(each.rows === rows ? 0 : 1, each.factor, each.word);
  for (const [value, at] of fixed) out.u32(value, at);
  out.array(bytes);
}

function encodeKernels(kernels: KernelTable): Uint8Array {
  const out = new SectionWriter().u32(kernels.entries.length);
  for (const { name, threads } of kernels.entries) out.u32(threads).text(name);
  return out.finish();
}

function encodeBuffers({ entries }: BufferTable): Uint8Array {
  const out = new SectionWriter().u32(entries.length, 0);
  for (const { role, offset, byteLength } of entries) out.u32(role, 0).u64(offset).u64(byteLength);
  return out.finish();
}
