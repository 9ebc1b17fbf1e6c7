/* Floating-point functions; the tests of a number's kind are the compiler's own. */
#ifndef APPLE_MATH_H
#define APPLE_MATH_H

#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()

#define isnan(x) __builtin_isnan(x)

extern double floor(double x);
extern double ceil(double x);
extern double round(double x);
extern double sqrt(double x);
extern double log(double x);

#endif
