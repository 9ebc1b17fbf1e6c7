/*
 * bun_metal.h: the C ABI of bun-metal, the whole contract between JavaScript and the Objective-C bridge.
 *
 * Rules that hold for every function
 * - Ownership: nothing autoreleased crosses this boundary. What a function creates is handed out as a handle, owned
 *   by the caller until bm_release. Pointers passed in are only read or written during the call, unless a comment says
 *   otherwise.
 * - Handles are uint32_t, never 0, and carry a generation: a handle that was released, never existed or is of another
 *   kind gives BM_ERROR_HANDLE. Objects that others need (a buffer of a program, the device of a buffer) are retained
 *   by them: releasing in any order is safe, also while work is in flight.
 * - Threads: every function may be called from any thread at any time.
 * - Errors: a function returns a status (0 is BM_OK), or a handle or ticket (0 is failure). After a failure
 *   bm_error_code and bm_error_message describe it; both are per thread and stay until the next failure there.
 * - Numbers are uint32_t and double only (a double is exact up to 2^53). A size or an offset is a double: NaN,
 *   negative, fractional and too large values are BM_ERROR_ARGUMENT or BM_ERROR_RANGE.
 * - Text is UTF-8. Functions that return text copy at most `capacity` bytes, always with a final NUL where capacity
 *   is not 0, and return the full length without the NUL.
 */
#ifndef BUN_METAL_H
#define BUN_METAL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_EXPORT __attribute__((visibility("default")))

/** Rises with every incompatible change of this file or of the program format. */
#define BM_ABI_VERSION 2u

typedef uint32_t bm_handle;
typedef uint32_t bm_status;

enum {
  BM_OK = 0,
  BM_ERROR_HANDLE = 1,      /* stale, foreign or wrong-kind handle */
  BM_ERROR_ARGUMENT = 2,    /* NULL, malformed or contradictory argument, bad program bytes */
  BM_ERROR_RANGE = 3,       /* a size or an offset outside of what it refers to */
  BM_ERROR_MEMORY = 4,      /* out of memory, or over the device's largest buffer */
  BM_ERROR_COMPILE = 5,     /* shader source was refused; the message is the compiler's */
  BM_ERROR_NOT_FOUND = 6,   /* no such device, function or file */
  BM_ERROR_UNSUPPORTED = 7, /* the device or this build cannot do it */
  BM_ERROR_VALIDATION = 8,  /* a rule of Metal was broken; the message names it */
  BM_ERROR_EXECUTION = 9,   /* the device failed while it ran a submission */
  BM_ERROR_BUSY = 10,       /* BM_MAX_IN_FLIGHT submissions are out; try again after a completion */
  BM_ERROR_INTERNAL = 11    /* an unexpected exception; the message has its name and reason */
};

/** Kinds of handles, and the order of the counts of bm_live_handles. */
enum {
  BM_KIND_DEVICE = 0,
  BM_KIND_BUFFER = 1,
  BM_KIND_LIBRARY = 2,
  BM_KIND_PIPELINE = 3,
  BM_KIND_QUEUE = 4,
  BM_KIND_PROGRAM = 5,
  BM_KIND_MODEL = 6,
  BM_KIND_COUNT = 7
};

/* ---- the library itself ---------------------------------------------------------------------------------------- */

/** BM_ABI_VERSION of the loaded library. Cannot fail. */
BM_EXPORT uint32_t bm_abi_version(void);

/** Status of this thread's last failure; BM_OK when there was none. */
BM_EXPORT bm_status bm_error_code(void);

/** Copies this thread's last error message. Returns its full length in bytes. */
BM_EXPORT uint32_t bm_error_message(char *out, uint32_t capacity);

/** Writes the number of live handles of each kind, at most `capacity` of them. Returns BM_KIND_COUNT. */
BM_EXPORT uint32_t bm_live_handles(double *counts, uint32_t capacity);

/** Which numbers bm_statistics writes, in this order. */
enum {
  BM_STATISTIC_BUFFER_BYTES = 0,        /* bytes in live buffers, wrapped and mapped memory included */
  BM_STATISTIC_PEAK_BUFFER_BYTES = 1,   /* the most that BUFFER_BYTES has been */
  BM_STATISTIC_IN_FLIGHT = 2,           /* submissions that have not completed, all queues */
  BM_STATISTIC_OBJECTS = 3,             /* live Objective-C objects; NaN where the platform cannot tell (Apple) */
  BM_STATISTIC_OBJECTS_WITHOUT_POOL = 4,/* objects ever autoreleased with no pool in place; NaN on Apple */
  BM_STATISTIC_SHADER_CACHE_HITS = 5,   /* pipelines of the shaders that ship, found compiled in the user's cache */
  BM_STATISTIC_SHADER_CACHE_MISSES = 6, /* those that were not, and had to be compiled */
  BM_STATISTIC_SHADER_CACHE_FAILURES = 7,/* cache files that could not be written */
  BM_STATISTIC_COUNT = 8
};

/** Writes at most `capacity` of the numbers above. Returns BM_STATISTIC_COUNT. */
BM_EXPORT uint32_t bm_statistics(double *numbers, uint32_t capacity);

/** Copies lines of `class count` for each Objective-C class with live objects; empty where the platform cannot tell. */
BM_EXPORT uint32_t bm_live_objects(char *out, uint32_t capacity);

/** Releases a handle of any kind. Work in flight that uses the object finishes first where it must. A queue's release
 *  blocks until its submissions have completed and no callback of it is under way or will ever be made. */
BM_EXPORT bm_status bm_release(bm_handle handle);

/* ---- devices --------------------------------------------------------------------------------------------------- */

/** Writes how many devices there are (0 is not an error). */
BM_EXPORT bm_status bm_device_count(uint32_t *count);

/** What makes work faster where it can be had and changes no result: a set of bits. */
enum {
  BM_FEATURE_CONCURRENT_DISPATCH = 1,    /* dispatches between two barriers may overlap on the device */
  BM_FEATURE_INDIRECT_COMMANDS = 2,      /* programs are encoded once, into indirect command buffers */
  BM_FEATURE_RESIDENCY_SETS = 4,         /* buffers of programs stay resident between submissions */
  BM_FEATURE_UNRETAINED_REFERENCES = 8,  /* command buffers do not retain what the bridge keeps for them anyway */
  BM_FEATURE_SHADER_CACHE = 16,          /* compiled pipelines are kept in a file of the user's cache directory */
  BM_FEATURE_THREAD_QOS = 32,            /* threads that submit are raised to "user initiated" where they are below */
  BM_FEATURE_ALL = 63
};

/** Opens device `index`. Each open is a handle of its own to the same device. `disabled` is a set of BM_FEATURE_* to do
 *  without; BM_DEVICE_FEATURES tells which of the others are in use: those that the device and the system have.
 *  BM_ERROR_NOT_FOUND past the end; BM_ERROR_UNSUPPORTED, with the reason, for a device that cannot run the shaders that
 *  ship (simulators, and GPUs without reductions over SIMD groups). */
BM_EXPORT bm_handle bm_device_open(uint32_t index, uint32_t disabled);

/** Texts of bm_device_text. */
enum { BM_DEVICE_NAME = 0, BM_DEVICE_ARCHITECTURE = 1 /* "cpu-...", "cuda-...", or Apple's, as "applegpu_g13g" */ };

/** Copies a text of the device. Returns its full length; 0 and an error for a bad handle or an unknown text. */
BM_EXPORT uint32_t bm_device_text(bm_handle device, uint32_t text, char *out, uint32_t capacity);

/** Which numbers bm_device_numbers writes, in this order. */
enum {
  BM_DEVICE_UNIFIED_MEMORY = 0,            /* 1 where CPU and device share memory */
  BM_DEVICE_MAX_BUFFER_LENGTH = 1,         /* bytes */
  BM_DEVICE_WORKING_SET = 2,               /* recommended most bytes in use */
  BM_DEVICE_MAX_THREADGROUP_MEMORY = 3,    /* bytes */
  BM_DEVICE_MAX_THREADS_X = 4,             /* threads per threadgroup, by dimension */
  BM_DEVICE_MAX_THREADS_Y = 5,
  BM_DEVICE_MAX_THREADS_Z = 6,
  BM_DEVICE_ALLOCATED = 7,                 /* bytes that the device has allocated now */
  BM_DEVICE_SIMDGROUP_MATRIX = 8,          /* 1 where simdgroup_matrix works (family Apple7 and later) */
  BM_DEVICE_PAGE_SIZE = 9,                 /* alignment and granularity of bm_buffer_wrap and bm_buffer_map */
  BM_DEVICE_FEATURES = 10,                 /* BM_FEATURE_* that are in use: a whole number of 32 bits */
  BM_DEVICE_WEIGHT_STORAGE = 11,           /* BM_STORAGE_* for what is written once and read often */
  BM_DEVICE_NONUNIFORM_THREADGROUPS = 12,  /* 1 where BM_DISPATCH_THREADS works */
  BM_DEVICE_AVAILABLE_MEMORY = 13,         /* bytes left for private buffers now; NaN where nobody can tell */
  BM_DEVICE_TOTAL_MEMORY = 14,             /* bytes for private buffers in all; NaN where nobody can tell */
  BM_DEVICE_NUMBER_COUNT = 15
};

/** Writes at most `capacity` of the numbers above. */
BM_EXPORT bm_status bm_device_numbers(bm_handle device, double *numbers, uint32_t capacity);

/* ---- buffers --------------------------------------------------------------------------------------------------- */

enum { BM_STORAGE_SHARED = 0, BM_STORAGE_PRIVATE = 1 };

/** A new buffer of `length` bytes (at least 1). Shared ones are zero-filled; private ones are not. */
BM_EXPORT bm_handle bm_buffer_new(bm_handle device, double length, uint32_t storage);

/** A shared buffer over the caller's memory, without a copy. `pointer` and `length` are multiples of the page size.
 *  The caller keeps the memory until the buffer, and every program that uses it, is released. Some devices (those of
 *  virtual machines) wrap no memory: BM_ERROR_MEMORY, as a copy would not show the writes of one side to the other. */
BM_EXPORT bm_handle bm_buffer_wrap(bm_handle device, void *pointer, double length);

/** A shared buffer over bytes [offset, offset + length) of a file, mapped privately, without a copy; `length` 0 means
 *  up to the file's end. `offset` is a multiple of the page size; the mapping is rounded up to whole pages (zero
 *  beyond the file's end) but the buffer's length stays as asked. The mapping goes with the buffer. Writes to the buffer
 *  never reach the file. Where the device wraps no memory, the bytes are read into a new buffer instead. */
BM_EXPORT bm_handle bm_buffer_map(bm_handle device, const char *path, double offset, double length);

/** The buffer's length in bytes, as asked for; NaN for a bad handle. */
BM_EXPORT double bm_buffer_length(bm_handle buffer);

/** Where the CPU sees a shared buffer, valid while the handle is; NULL for a private one (BM_ERROR_UNSUPPORTED). */
BM_EXPORT void *bm_buffer_contents(bm_handle buffer);

/*
 * The next four run in the order of the queue, after all that was submitted to it before, and return when they are
 * done. They work on shared and private buffers alike.
 */

/** Sets bytes [offset, offset + length) to `value` (0..255). */
BM_EXPORT bm_status bm_buffer_fill(bm_handle queue, bm_handle buffer, double offset, double length, uint32_t value);

/** Copies `length` bytes between buffers, or within one where the ranges do not overlap. */
BM_EXPORT bm_status bm_buffer_copy(bm_handle queue, bm_handle source, double source_offset, bm_handle destination,
                                   double destination_offset, double length);

/** Copies `length` bytes from the caller's memory into the buffer. */
BM_EXPORT bm_status bm_buffer_upload(bm_handle queue, bm_handle buffer, double offset, const void *bytes, double length);

/** Copies `length` bytes of the buffer into the caller's memory. */
BM_EXPORT bm_status bm_buffer_download(bm_handle queue, bm_handle buffer, double offset, void *bytes, double length);

/* ---- libraries and pipelines ----------------------------------------------------------------------------------- */

/** Compiles MSL source of `length` bytes (no NUL needed). `name` is what messages call the source. */
BM_EXPORT bm_handle bm_library_from_source(bm_handle device, const char *source, double length, const char *name);

/** Loads a compiled shader library (Apple: a .metallib; Linux: what `mslc` writes). */
BM_EXPORT bm_handle bm_library_from_file(bm_handle device, const char *path);

/** The shaders that ship: compiled ones that are part of the native library (Apple), or beside it (`shaders.metallib`, and
 *  for the CPU `shaders-<level>.metallib`), else the source that is part of it, which is compiled then and there. Compiled
 *  shaders that the device does not take, of another version or level, are passed over. With BM_FEATURE_SHADER_CACHE,
 *  what the library's pipelines are compiled to is kept in a file below the user's cache directory (XDG_CACHE_HOME, else
 *  ~/Library/Caches, else ~/.cache); whatever is wrong with the file, nothing fails. */
BM_EXPORT bm_handle bm_library_shaders(bm_handle device);

/** Copies the SHA-256 of the source of the shaders that ship, as 64 hexadecimal digits: what was made for them elsewhere
 *  is known by it. Returns the full length. */
BM_EXPORT uint32_t bm_shaders_digest(char *out, uint32_t capacity);

/** Copies the names of the library's functions, one a line. Returns the full length. */
BM_EXPORT uint32_t bm_library_functions(bm_handle library, char *out, uint32_t capacity);

/** A pipeline for the function of that name. */
BM_EXPORT bm_handle bm_pipeline_new(bm_handle library, const char *function);

/** Which numbers bm_pipeline_numbers writes, in this order. */
enum {
  BM_PIPELINE_MAX_THREADS = 0,          /* maxTotalThreadsPerThreadgroup */
  BM_PIPELINE_EXECUTION_WIDTH = 1,      /* threadExecutionWidth */
  BM_PIPELINE_THREADGROUP_MEMORY = 2,   /* staticThreadgroupMemoryLength */
  BM_PIPELINE_NUMBER_COUNT = 3
};

/** Writes at most `capacity` of the numbers above. */
BM_EXPORT bm_status bm_pipeline_numbers(bm_handle pipeline, double *numbers, uint32_t capacity);

/* ---- queues, programs, submissions ----------------------------------------------------------------------------- */

/** Most submissions of one queue that may be in flight. */
#define BM_MAX_IN_FLIGHT 64u

/** Called once for each bm_program_submit, from a thread of the bridge, when the submission has completed.
 *  `ticket` is the ticket, with BM_TICKET_FAILED set where it failed. A callback may submit to its queue; to wait for
 *  it, to run on it or to release it is BM_ERROR_UNSUPPORTED there, as that could never end. */
typedef void (*bm_completed)(uint32_t ticket);

#define BM_TICKET_FAILED 0x80000000u

/** A queue: submissions start and complete in order. `completed` may be NULL, then only waiting tells of completion.
 *  After a submission has failed on the device, those that are in flight may fail with it; once all have completed, the
 *  next submission finds the queue as new. */
BM_EXPORT bm_handle bm_queue_new(bm_handle device, bm_completed completed);

/*
 * The program format: little-endian uint32_t words.
 *
 *   header   BM_PROGRAM_MAGIC, BM_ABI_VERSION, dynamic word count (0..BM_MAX_DYNAMIC_WORDS), operation count
 *   then, operation after operation, a first word `opcode | (words of this operation, itself included) << 8`:
 *
 *   BM_OP_DISPATCH
 *     pipeline handle
 *     flags                      BM_DISPATCH_THREADS: the grid counts threads (dispatchThreads), else threadgroups
 *     3 x { count, dynamic }     the grid, x y z. dynamic = 0: `count` as it is. Otherwise word `dynamic - 1` of the
 *                                run is a number of items, and the grid is ceil(word / count): `count` items each.
 *     3 x threads per threadgroup
 *     number of buffers, then for each { index, handle, offset low, offset high };
 *                                handle BM_DYNAMIC_WORDS binds the run's dynamic words, offset in bytes
 *     number of inline constants, then for each { index, byte length (1..4096), the bytes in whole words }
 *     number of threadgroup memories, then for each { index, byte length }
 *   BM_OP_COPY     source handle, offset low, high, destination handle, offset low, high, length low, high
 *   BM_OP_FILL     handle, offset low, high, length low, high, value (0..255)
 *   BM_OP_BARRIER  (no operands) what follows sees all writes of what came before
 *
 * Operations between two barriers may overlap and run in any order. A dynamic grid dimension whose run word is 0
 * skips its dispatch; a fixed one of 0 is refused. Offsets and lengths of copies and fills are multiples of 4, and no
 * length is 0. Dynamic words and inline constants can only be bound to arguments that the function does not write.
 * Threadgroup memory lengths are rounded up to multiples of 16. A range is held against the length that its buffer was
 * asked for.
 */
#define BM_PROGRAM_MAGIC 0x31504D42u /* "BMP1" */
#define BM_MAX_DYNAMIC_WORDS 1048576u
#define BM_DYNAMIC_WORDS 0xFFFFFFFFu /* pseudo handle */
enum { BM_OP_DISPATCH = 1, BM_OP_COPY = 2, BM_OP_FILL = 3, BM_OP_BARRIER = 4 };
enum { BM_DISPATCH_THREADS = 1 };

/** Validates a program once and keeps it, with all that it uses. The bytes are copied. */
BM_EXPORT bm_handle bm_program_new(bm_handle device, const void *bytes, double length);

/** Runs a program and waits for it. `words` are its dynamic words, exactly as many as the program declares (copied at
 *  the call). No handle is made, and nothing stays allocated. Blocks while BM_MAX_IN_FLIGHT
 *  submissions are out. */
BM_EXPORT bm_status bm_program_run(bm_handle queue, bm_handle program, const uint32_t *words, uint32_t count);

/** Most runs of one submission. */
#define BM_MAX_RUNS 64u

/** Submits a program and returns at once with a ticket (1 .. 0x7FFFFFFF, rising, then wrapping to 1); 0 on failure,
 *  BM_ERROR_BUSY when BM_MAX_IN_FLIGHT are out. Never blocks on the device. `words` may be the dynamic words of several
 *  runs, at most BM_MAX_RUNS: the program runs once with each, one after the other. All are one submission, which has failed
 *  if one of them has; those before it may have written. A program without dynamic words runs once. `words` are copied at
 *  the call. */
BM_EXPORT uint32_t bm_program_submit(bm_handle queue, bm_handle program, const uint32_t *words, uint32_t count);

/** Waits until the submission has completed; its status is returned (and its message set on failure). Ticket 0 waits
 *  for all that was submitted. A queue remembers its last 256 submissions; BM_ERROR_RANGE beyond. */
BM_EXPORT bm_status bm_queue_wait(bm_handle queue, uint32_t ticket);

/** Device seconds that a completed submission took; ticket 0 means the latest that completed. NaN if unknown. */
BM_EXPORT double bm_queue_gpu_seconds(bm_handle queue, uint32_t ticket);

/* ---- models without JavaScript --------------------------------------------------------------------------------- */

/*
 * A model runs from two files, which are part of an application: a plan, which `bun-metal export` wrote, and the GGUF
 * file that it was exported from. Nothing is loaded at run time but these. A model holds one text: the tokens that were
 * given to it and those that it made. A plan is a program, as shaders are: its structure is checked, so that a damaged
 * file is an error, but take it from nobody who could not give you code as well.
 *
 * Calls on one model from several threads wait for each other; different models run at the same time. bm_release closes
 * a model; a call that is under way in another thread finishes first.
 */

/** No token: what bm_model_next writes where it made none. */
#define BM_NO_TOKEN 0xFFFFFFFFu

/** What bm_model_next returns besides errors and BM_OK. */
enum {
  BM_MODEL_END = 256, /* the model has ended its text */
  BM_MODEL_FULL = 257 /* the context has no room for another token */
};

/** Opens the plan `plan_name` in `bundle_directory`, with the weights beside it, on device `index`; `disabled` is as
 *  for bm_device_open. Both names are relative and lead nowhere outside of the directory; the weights' name is in the
 *  plan. BM_ERROR_ARGUMENT where the plan is damaged, or the weights are not those that it was exported from;
 *  BM_ERROR_UNSUPPORTED where the device lacks what the plan's kernels need; BM_ERROR_NOT_FOUND for a missing file. */
BM_EXPORT bm_handle bm_model_open(const char *bundle_directory, const char *plan_name, uint32_t index,
                                  uint32_t disabled);

/** Which numbers bm_model_numbers writes, in this order. */
enum {
  BM_MODEL_TOKENS = 0,         /* tokens that the text has now */
  BM_MODEL_CONTEXT_LENGTH = 1, /* tokens that it can have */
  BM_MODEL_VOCABULARY = 2,     /* tokens that there are; ids are below it */
  BM_MODEL_BATCH = 3,          /* tokens of a prompt that are computed at once */
  BM_MODEL_BEGIN_TOKEN = 4,    /* the token that begins a text; NaN where there is none */
  BM_MODEL_END_TOKEN = 5,      /* the token that ends a text; NaN where there is none */
  BM_MODEL_NUMBER_COUNT = 6
};

/** Writes at most `capacity` of the numbers above. */
BM_EXPORT bm_status bm_model_numbers(bm_handle model, double *numbers, uint32_t capacity);

/** How text is read: a set of bits. */
enum {
  BM_TEXT_PARSE_SPECIAL = 1, /* texts as "<|eot_id|>" become the control tokens of that name: only for trusted text */
  BM_TEXT_CONTINUES = 2      /* no begin token, even where the vocabulary asks for one */
};

/** Turns `length` bytes of UTF-8 into tokens: at most `capacity` are written, `count` gets the full number. */
BM_EXPORT bm_status bm_model_tokenize(bm_handle model, const char *utf8, double length, uint32_t flags,
                                      uint32_t *tokens, uint32_t capacity, uint32_t *count);

/** Adds text to what the model holds, and computes it. The begin token comes first where the vocabulary asks for one
 *  and the model holds nothing yet. BM_ERROR_RANGE where the context has no room; nothing is added then. Text that
 *  bm_model_next made and nobody has taken is forgotten. */
BM_EXPORT bm_status bm_model_prompt(bm_handle model, const char *utf8, double length, uint32_t flags);

/** The same for tokens, as they are. */
BM_EXPORT bm_status bm_model_prompt_tokens(bm_handle model, const uint32_t *tokens, uint32_t count);

/** How tokens are chosen from now on: temperature (0 takes the most probable token), top-k (0 keeps all), top-p (1
 *  keeps all), min-p (0 keeps all), repetition penalty (1 is off) over the latest `repeat_last_n` tokens, and a seed
 *  from 0 to 2^53 - 1, whose sequence begins again. The same seed gives the same tokens, here and in TypeScript. Until
 *  the first call the most probable token is taken. */
BM_EXPORT bm_status bm_model_sampling(bm_handle model, double temperature, uint32_t top_k, double top_p, double min_p,
                                      double repeat_penalty, uint32_t repeat_last_n, double seed);

/**
 * Makes the next token, and copies the text that it completes: whole characters with a final NUL, often a few, none
 * where a character needs another token. `length` gets its bytes, `token` the token; either may be NULL.
 *
 * `capacity` is at least 5 bytes. Text that does not fit is not lost: the next calls bring the rest, and make no token
 * (BM_NO_TOKEN) until all is taken. `text` may be NULL, with capacity 0: the text is dropped.
 *
 * BM_MODEL_END: the model ended its text; `token` is the token that says so, which is not part of the text.
 * BM_MODEL_FULL: the context is full. With either, `text` may still hold the last of the text, and no more will follow.
 * Both stay until something is added or forgotten.
 */
BM_EXPORT bm_status bm_model_next(bm_handle model, char *text, uint32_t capacity, uint32_t *length, uint32_t *token);

/** Forgets all tokens from the one at `position` on; 0 forgets all. */
BM_EXPORT bm_status bm_model_rewind(bm_handle model, uint32_t position);

#ifdef __cplusplus
}
#endif
#endif
