/* kernels_of_real.h - the kernels of one dtype, in the order in which they build on each other. No
 * include guard. */
#include "math/exp.h"
#include "math/log.h"

#include "kernel/tile.h"
#include "kernel/walk.h"
#include "kernel/sum.h"
#include "kernel/fold.h"
#include "kernel/results.h"
#include "kernel/largest.h"
#include "kernel/terms.h"
#include "kernel/stats.h"
#include "kernel/scale.h"

#include "kernel/softmax.h"
#include "kernel/logsumexp_b.h"
#include "kernel/jacobian.h"
#include "kernel/products.h"
#include "kernel/cross_entropy.h"
#include "kernel/log_loss.h"
