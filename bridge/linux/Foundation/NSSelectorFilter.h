/*
 * Selectors that respondsToSelector: denies, for layers that act as an older system. Internal; not part of Apple's
 * Foundation.
 */
#ifndef FOUNDATION_NSSELECTORFILTER_H
#define FOUNDATION_NSSELECTORFILTER_H

#import <Foundation/NSObjCRuntime.h>

/** NULL, or whether a selector is to be denied. Set once, before other threads look. */
extern bool (*NSIsSelectorHidden)(SEL selector);

#endif
