/*
 * library.h: the MSL standard library. The compiler driver includes it in front of every shader, after the shader was
 * preprocessed against the empty headers in ../include. Those of the headers below that are not beside this one are in a
 * directory for each kind of device: ../cpu and ../cuda, in the sources cpu/metal/library and cuda/metal/library.
 */
#include "spaces.h"
#include "abi.h"
#include "types.h"
#include "numbers.h"
#include "exponential.h"
#include "polynomials.h"
#include "elementary.h"
#include "math.h"
#include "common.h"
#include "matrix.h"
#include "simd_operations.h"
#include "simdgroup.h"
#include "simd_functions.h"
#include "simdgroup_matrix.h"
#include "simdgroup_matrix_functions.h"
#include "atomic_fetch.h"
#include "atomic.h"
#include "arguments.h"
#include "entry.h"
