/* Floating-point functions; the tests of a number's kind are the compiler's own. */
#ifndef APPLE_MATH_H
#define APPLE_MATH_H

#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()
#define HUGE_VAL __builtin_huge_val()
#define M_PI 3.14159265358979323846

#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)

extern double floor(double x);
extern double ceil(double x);
extern double trunc(double x);
extern double round(double x);
extern double fabs(double x);
extern double fmod(double x, double y);
extern double sqrt(double x);
extern double exp(double x);
extern double log(double x);
extern double pow(double x, double y);
extern double sin(double x);
extern double cos(double x);
extern float floorf(float x);
extern float ceilf(float x);
extern float fabsf(float x);
extern float fmaxf(float x, float y);
extern float fminf(float x, float y);
extern float sqrtf(float x);
extern float expf(float x);
extern float logf(float x);
extern float powf(float x, float y);
extern float sinf(float x);
extern float cosf(float x);

#endif
