/*
 * case.h: a case of the loader's own tests: code for macOS that cases_main.m loads and calls. A case returns NULL, or
 * what was not as it should be.
 */
#ifndef LOADER_CASE_H
#define LOADER_CASE_H

#import <Foundation/Foundation.h>

#include <stdbool.h>

#define CASE(name) __attribute__((visibility("default"))) const char *case_##name(void)

#define LOADER_TEXT_OF(line) #line
#define LOADER_LINE(line) LOADER_TEXT_OF(line)
#define EXPECT(condition) \
  if (!(condition)) return __FILE_NAME__ ":" LOADER_LINE(__LINE__) ": not so: " #condition

#endif
