#import <Foundation/Foundation.h>

#include <string.h>

#include "failure.h"
#include "library.h"
#include "macho.h"

enum { MostHidden = 16 };

static const Library *const libraries[] = {&systemLibrary,     &objcLibrary,  &coreFoundationLibrary,
                                           &foundationLibrary, &metalLibrary, &coreGraphicsLibrary};
enum { LibraryCount = sizeof libraries / sizeof *libraries };

static const char *hidden[MostHidden];

void libraryHide(const char *symbol) {
  for (int i = 0; i < MostHidden; i++) {
    if (hidden[i]) continue;
    hidden[i] = symbol;
    return;
  }
}

static bool isHidden(const char *symbol) {
  for (int i = 0; i < MostHidden && hidden[i]; i++)
    if (strcmp(hidden[i], symbol) == 0) return true;
  return false;
}

/* `_OBJC_CLASS_$_X` and `_OBJC_METACLASS_$_X` of a class that the library has. */
static bool findClass(const Library *library, const char *symbol, void **address) {
  static const char classPrefix[] = "_OBJC_CLASS_$_", metaclassPrefix[] = "_OBJC_METACLASS_$_";
  bool isClass = strncmp(symbol, classPrefix, sizeof classPrefix - 1) == 0;
  bool isMetaclass = strncmp(symbol, metaclassPrefix, sizeof metaclassPrefix - 1) == 0;
  if (!isClass && !isMetaclass) return false;
  const char *name = symbol + (isClass ? sizeof classPrefix : sizeof metaclassPrefix) - 1;
  for (const char *const *each = library->classes; each && *each; each++) {
    if (strcmp(*each, name) != 0) continue;
    Class found = objc_getClass(name);
    *address = isClass ? (void *)found : (void *)object_getClass((id)found);
    return true;
  }
  return false;
}

static bool findRow(const Symbol *symbol, const char *name, void **address) {
  for (; symbol && symbol->name; symbol++) {
    if (strcmp(symbol->name, name) != 0) continue;
    *address = symbol->address;
    return true;
  }
  return false;
}

/* Whether the system came after the changes of interface that x86_64 macOS keeps the old names for. */
static bool isYounger(uint32_t platform) {
#if defined(__x86_64__)
  return platform != PLATFORM_MACOS;
#else
  (void)platform;
  return true;
#endif
}

/* Whether the library has the symbol on that platform; `address` may be NULL even then. */
static bool findSymbol(const Library *library, const char *name, uint32_t platform, void **address) {
  return findRow(library->symbols, name, address) ||
         (isYounger(platform) && findRow(library->youngerSymbols, name, address)) ||
         findClass(library, name, address);
}

/* Whether a library of macOS has that install name on the platform: elsewhere it lacks `Versions/X/`. */
static bool isNamed(const Library *library, const char *installName, uint32_t platform) {
  static const char versions[] = "Versions/";
  const char *name = library->installName, *found = strstr(name, versions);
  if (platform == PLATFORM_MACOS || !found) return strcmp(name, installName) == 0;
  size_t before = (size_t)(found - name);
  return strncmp(name, installName, before) == 0 && strcmp(found + sizeof versions + 1, installName + before) == 0;
}

static const Library *libraryNamed(const char *installName, uint32_t platform) {
  for (int i = 0; i < LibraryCount; i++)
    if (isNamed(libraries[i], installName, platform)) return libraries[i];
  return NULL;
}

void *libraryFind(const char *symbol) {
  void *address = NULL;
  if (isHidden(symbol)) return NULL;
  for (int i = 0; i < LibraryCount; i++)
    if (findSymbol(libraries[i], symbol, PLATFORM_MACOS, &address)) return address;
  return NULL;
}

bool libraryResolve(const Image *image, uint32_t index, const char *symbol, bool isWeak, void **address) {
  *address = NULL;
  const NeededLibrary *needed = &image->libraries[index];
  const Library *library = libraryNamed(needed->installName, image->platform);
  if (library && findSymbol(library, symbol, image->platform, address)) {
    if (isHidden(symbol)) *address = NULL;
    if (*address || isWeak) return true;
    return loaderFail("Symbol \"%s\" of \"%s\" is needed, but missing here: import it weakly", symbol,
                      needed->installName);
  }
  void *elsewhere = NULL;
  for (int i = 0; i < LibraryCount; i++)
    if (findSymbol(libraries[i], symbol, image->platform, &elsewhere))
      return loaderFail("Symbol \"%s\" is asked from \"%s\", but \"%s\" has it", symbol, needed->installName,
                        libraries[i]->installName);
  return loaderFail("Symbol \"%s\", asked from \"%s\", is not known to this loader", symbol, needed->installName);
}

bool libraryCheckAll(const Image *image) {
  for (uint32_t i = 0; i < image->libraryCount; i++) {
    const NeededLibrary *needed = &image->libraries[i];
    const Library *library = libraryNamed(needed->installName, image->platform);
    if (!library) return loaderFail("Library \"%s\" does not exist on this platform", needed->installName);
    // dyld refuses a library whose compatibility version is lower than the one recorded at link time.
    if (needed->compatibilityVersion > library->compatibilityVersion)
      return loaderFail("Library \"%s\" is needed in version \"%u\", but there is \"%u\"", needed->installName,
                        needed->compatibilityVersion >> 16, library->compatibilityVersion >> 16);
  }
  return true;
}
