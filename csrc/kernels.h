/* kernels.h - every kernel, once per dtype, in the words of the vocabulary that was included before. */
#include "math/wide.h"

#include "math/polynomials.h"

#include "kernel/total.h"

#include "real_f32.h"
#include "kernels_of_real.h"
#include "real_end.h"

#include "real_f64.h"
#include "kernels_of_real.h"
#include "real_end.h"

#include "kernel/half.h"
