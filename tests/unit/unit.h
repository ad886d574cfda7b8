/* unit: cmocka with the headers it wants before it, in its order. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

/* clang-format off */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
