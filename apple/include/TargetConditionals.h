/* TARGET_OS_IPHONE and the like: clang predefines them for Apple's targets, all of them, as 0 or 1. */
#ifndef TARGET_OS_MAC
#error "The compiler does not define TARGET_OS_MAC: use clang 18 or later"
#endif
