/* wide.h - arithmetic in about twice the precision of each dtype, in the words of the vocabulary that was included before. */
#include "real_f32.h"
#include "math/mul_add.h"
#include "math/fixed_point.h"
#include "real_end.h"

#include "real_f64.h"
#include "math/mul_add.h"
#include "math/fixed_point.h"
#include "real_end.h"

#include "math/wide_f32.h"
#include "math/wide_f64.h"
