/*
 * macho.h: the parts of the Mach-O format that a dynamic library for x86_64 is made of, with the names of Apple's
 * <mach-o/loader.h>, <mach-o/fat.h> and <mach-o/fixup-chains.h>. All numbers are little-endian but those of the fat
 * header.
 */
#ifndef LOADER_MACHO_H
#define LOADER_MACHO_H

#include <stdint.h>

enum { FAT_MAGIC = 0xCAFEBABE, MH_MAGIC_64 = 0xFEEDFACF, MH_DYLIB = 6 };
enum { CPU_TYPE_X86_64 = 0x01000007, CPU_TYPE_ARM64 = 0x0100000C };
enum { MH_TWOLEVEL = 0x80 };

typedef struct fat_arch {
  uint32_t cputype, cpusubtype, offset, size, align;
} fat_arch;

typedef struct mach_header_64 {
  uint32_t magic, cputype, cpusubtype, filetype, ncmds, sizeofcmds, flags, reserved;
} mach_header_64;

enum {
  LC_REQ_DYLD = 0x80000000,
  LC_SYMTAB = 0x2,
  LC_DYSYMTAB = 0xB,
  LC_LOAD_DYLIB = 0xC,
  LC_ID_DYLIB = 0xD,
  LC_LOAD_WEAK_DYLIB = 0x18 | LC_REQ_DYLD,
  LC_SEGMENT_64 = 0x19,
  LC_UUID = 0x1B,
  LC_CODE_SIGNATURE = 0x1D,
  LC_FUNCTION_STARTS = 0x26,
  LC_DATA_IN_CODE = 0x29,
  LC_SOURCE_VERSION = 0x2A,
  LC_ENCRYPTION_INFO_64 = 0x2C,
  LC_BUILD_VERSION = 0x32,
  LC_DYLD_EXPORTS_TRIE = 0x33 | LC_REQ_DYLD,
  LC_DYLD_CHAINED_FIXUPS = 0x34 | LC_REQ_DYLD
};

typedef struct load_command {
  uint32_t cmd, cmdsize;
} load_command;

typedef struct segment_command_64 {
  uint32_t cmd, cmdsize;
  char segname[16];
  uint64_t vmaddr, vmsize, fileoff, filesize;
  uint32_t maxprot, initprot, nsects, flags;
} segment_command_64;

enum { VM_PROT_READ = 1, VM_PROT_WRITE = 2, VM_PROT_EXECUTE = 4, SG_READ_ONLY = 0x10 };

typedef struct section_64 {
  char sectname[16], segname[16];
  uint64_t addr, size;
  uint32_t offset, align, reloff, nreloc, flags, reserved1, reserved2, reserved3;
} section_64;

enum { SECTION_TYPE = 0xFF, S_ZEROFILL = 1, S_GB_ZEROFILL = 0xC, S_THREAD_LOCAL_REGULAR = 0x11 };
enum { S_THREAD_LOCAL_ZEROFILL = 0x12, S_MOD_INIT_FUNC_POINTERS = 9, S_INIT_FUNC_OFFSETS = 0x16 };

typedef struct dylib_command {
  uint32_t cmd, cmdsize, name, timestamp, current_version, compatibility_version;
} dylib_command;

typedef struct build_version_command {
  uint32_t cmd, cmdsize, platform, minos, sdk, ntools;
} build_version_command;

enum { PLATFORM_MACOS = 1, PLATFORM_IOS = 2, PLATFORM_TVOS = 3, PLATFORM_IOSSIMULATOR = 7, PLATFORM_TVOSSIMULATOR = 8 };

typedef struct encryption_info_command_64 {
  uint32_t cmd, cmdsize, cryptoff, cryptsize, cryptid, pad;
} encryption_info_command_64;

typedef struct linkedit_data_command {
  uint32_t cmd, cmdsize, dataoff, datasize;
} linkedit_data_command;

/* ---- chained fixups ---------------------------------------------------------------------------------------------- */

typedef struct dyld_chained_fixups_header {
  uint32_t fixups_version, starts_offset, imports_offset, symbols_offset, imports_count, imports_format, symbols_format;
} dyld_chained_fixups_header;

enum { DYLD_CHAINED_IMPORT = 1 };

typedef struct dyld_chained_import {
  int32_t lib_ordinal : 8;
  uint32_t weak_import : 1, name_offset : 23;
} dyld_chained_import;

/* Ordinals that are not positions in the list of libraries. */
enum {
  BIND_SPECIAL_DYLIB_SELF = 0,
  BIND_SPECIAL_DYLIB_MAIN_EXECUTABLE = -1,
  BIND_SPECIAL_DYLIB_FLAT_LOOKUP = -2,
  BIND_SPECIAL_DYLIB_WEAK_LOOKUP = -3
};

/* Followed by a uint16_t page_start for each page. */
typedef struct __attribute__((packed)) dyld_chained_starts_in_segment {
  uint32_t size;
  uint16_t page_size, pointer_format;
  uint64_t segment_offset;
  uint32_t max_valid_pointer;
  uint16_t page_count;
} dyld_chained_starts_in_segment;

enum { DYLD_CHAINED_PTR_64 = 2, DYLD_CHAINED_PTR_64_OFFSET = 6, DYLD_CHAINED_PTR_START_NONE = 0xFFFF };

typedef struct dyld_chained_ptr_64_rebase {
  uint64_t target : 36, high8 : 8, reserved : 7, next : 12, bind : 1;
} dyld_chained_ptr_64_rebase;

typedef struct dyld_chained_ptr_64_bind {
  uint64_t ordinal : 24, addend : 8, reserved : 19, next : 12, bind : 1;
} dyld_chained_ptr_64_bind;

/* ---- exports ----------------------------------------------------------------------------------------------------- */

enum {
  EXPORT_SYMBOL_FLAGS_KIND_MASK = 3,
  EXPORT_SYMBOL_FLAGS_KIND_REGULAR = 0,
  EXPORT_SYMBOL_FLAGS_WEAK_DEFINITION = 4
};

#endif
