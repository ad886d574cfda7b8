/* sandbox_rows: the macros of a sandbox.def, for the one .c file of a table. */
#ifndef SYS_SANDBOX_ROWS_H
#define SYS_SANDBOX_ROWS_H

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sys/sandbox.h"

#define SYS_LOW32 0xffffffffu
#define SYS(c, why) {.call = #c, .number = SCMP_SYS(c), .reason = (why)},
#define SYS_ARG(c, i, v, why)                                 \
	{.call = #c,                                          \
	    .number = SCMP_SYS(c),                            \
	    .n_args = 1,                                      \
	    .args = {{(i), false, SYS_LOW32, (uint32_t)(v)}}, \
	    .args_text = "arg" #i " = " #v,                   \
	    .reason = (why)},
#define SYS_ARG2(c, i, v, j, w, why)                            \
	{.call = #c,                                            \
	    .number = SCMP_SYS(c),                              \
	    .n_args = 2,                                        \
	    .args = {{(i), false, SYS_LOW32, (uint32_t)(v)},    \
		{(j), false, SYS_LOW32, (uint32_t)(w)}},        \
	    .args_text = "arg" #i " = " #v ", arg" #j " = " #w, \
	    .reason = (why)},
#define SYS_MASK(c, i, m, v, why)                      \
	{.call = #c,                                   \
	    .number = SCMP_SYS(c),                     \
	    .n_args = 1,                               \
	    .args = {{(i), false, (m), (v)}},          \
	    .args_text = "arg" #i " & (" #m ") = " #v, \
	    .reason = (why)},
#define SYS_SELF(c, i, why)                      \
	{.call = #c,                             \
	    .number = SCMP_SYS(c),               \
	    .n_args = 1,                         \
	    .args = {{(i), true, SYS_LOW32, 0}}, \
	    .args_text = "arg" #i " = own pid",  \
	    .reason = (why)},
#define SYS_SANITIZER(c, why) \
	{.call = #c, .number = SCMP_SYS(c), .sanitizer = true, .reason = (why)},

#endif
