/*
 * elementary.h: functions of vectors, by polynomials. Part of level.h.
 *
 * The coefficients are minimax fits of the relative error, made in float64.
 */
INLINE Floats fma(Floats a, float b, Floats c) { return fma(a, splat(b), c); }
INLINE Floats fma(Floats a, Floats b, float c) { return fma(a, b, splat(c)); }

/**
 * exp(x) for x <= 88, 0 below -87; a NaN stays one. The relative error is about 1e-7.
 *
 * exp(x) = 2^n exp(r) with n the whole number nearest to x / ln 2 and r = x - n ln 2, |r| <= ln 2 / 2. Floats of the size
 * of 1.5 * 2^23 have no fraction, so that the sum with that rounds, and has n in its lowest bits. ln 2 is taken in two
 * parts, the first of so few bits that its product with n is exact. Of exp(r) = 1 + r + r^2 q(r), q is a polynomial.
 */
INLINE Floats exponential(Floats x) {
  constexpr float Rounder = 12582912.0f;
  const Floats lowest = splat(-87.0f);
  const Floats bounded = lowest > x ? lowest : x;
  const Floats sum = fma(bounded, 1.44269504f, splat(Rounder));
  const Floats n = sum - splat(Rounder);
  const Floats r = fma(n, -1.42860682e-06f, fma(n, -0.693145752f, bounded));
  Floats q = fma(splat(1.38145985e-3f), r, 8.36871689e-3f);
  q = fma(q, r, 4.1668388e-2f);
  q = fma(q, r, 1.66665206e-1f);
  q = fma(q, r, 4.99999934e-1f);
  const Floats p = fma(r * r, q, r) + splat(1.0f);
  const Ints scaled = (Ints)p + ((Ints)sum << 23);
  return (Floats)(x < lowest ? Ints{} : scaled);
}

/** x * sigmoid(y) = x / (1 + exp(-y)), with an exponent that is never positive. */
INLINE Floats times_sigmoid(Floats x, Floats y) {
  const Floats e = exponential(-magnitude(y)), one = splat(1.0f);
  return x * (y < Floats{} ? e : one) / (one + e);
}

/** As shaders/activation.h. */
INLINE Floats gelu(Floats x) {
  const Floats most = splat(30.0f), y = x > most ? most : x < -most ? -most : x;
  return times_sigmoid(x, splat(1.5957691216057308f) * fma(y * y, y * splat(0.044715f), y));
}

/**
 * tanh(y) = 1 - 2 / (exp(2 y) + 1) of magnitudes, with the sign put back; where that would cancel, y + y^3 p(y^2).
 * The relative error is about 2e-7.
 */
INLINE Floats hyperbolic_tangent(Floats y) {
  const Floats size = magnitude(y), one = splat(1.0f), square = y * y;
  const Floats most = splat(10.0f); // 1 is the nearest float from here on
  const Floats e = exponential((size > most ? most : size) * splat(2.0f));
  const Floats large = one - splat(2.0f) / (e + one);
  const Ints sign = (Ints)y & int32_t(0x80000000);
  Floats p = fma(splat(-5.70498679e-3f), square, 2.0639087e-2f);
  p = fma(p, square, -5.3739715e-2f);
  p = fma(p, square, 1.33314422e-1f);
  p = fma(p, square, -3.33332819e-1f);
  const Floats small = fma(p * square, y, y);
  return size < splat(0.625f) ? small : (Floats)((Ints)large | sign);
}

/** cap * tanh(x / cap), as shaders/softcap.h. */
INLINE Floats soft_cap(Floats x, float cap) { return splat(cap) * hyperbolic_tangent(x / splat(cap)); }
