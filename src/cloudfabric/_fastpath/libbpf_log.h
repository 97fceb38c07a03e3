/* SPDX-License-Identifier: Apache-2.0 */
/* What libbpf prints (its own words and the verifier's log), kept per thread for the error instead of on stderr.
 *
 * libbpf has one print function for the whole process. Ours keeps text while its thread is between cf_log_begin and
 * cf_log_end, drops it between cf_log_quiet and cf_log_restore, and passes everything else on to the function before
 * it. Every module that includes this has its own copy and installs it, so the functions form a chain.
 */
#ifndef CLOUDFABRIC_LIBBPF_LOG_H
#define CLOUDFABRIC_LIBBPF_LOG_H

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CF_LOG_LIMIT = 1 << 24 }; /* the verifier's own limit on its log */

static __thread int cf_log_mode; /* 0: pass on, 1: keep, 2: drop */
static __thread char *cf_log_text;
static __thread size_t cf_log_length;
static __thread size_t cf_log_capacity;
static libbpf_print_fn_t cf_log_previous;

static int cf_log_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	va_list again;
	char *grown;
	int needed;

	if (cf_log_mode == 0)
		return cf_log_previous ? cf_log_previous(level, format, arguments) : 0;
	if (cf_log_mode == 2 || level == LIBBPF_DEBUG)
		return 0;
	va_copy(again, arguments);
	needed = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (needed < 0 || cf_log_length + needed >= CF_LOG_LIMIT)
		return 0;
	if (cf_log_length + needed + 1 > cf_log_capacity) {
		grown = realloc(cf_log_text, 2 * (cf_log_length + needed + 1));
		if (!grown)
			return 0;
		cf_log_text = grown;
		cf_log_capacity = 2 * (cf_log_length + needed + 1);
	}
	vsnprintf(cf_log_text + cf_log_length, needed + 1, format, arguments);
	cf_log_length += needed;
	return needed;
}

static void cf_log_install(void)
{
	libbpf_print_fn_t previous = libbpf_set_print(cf_log_print);

	if (previous != cf_log_print)
		cf_log_previous = previous;
}

static void cf_log_begin(void)
{
	cf_log_mode = 1;
	cf_log_length = 0;
}

/* Ends keeping; the text is the caller's to free and may be NULL. */
static char *cf_log_end(size_t *length)
{
	char *text = cf_log_text;

	*length = cf_log_length;
	cf_log_mode = 0;
	cf_log_text = NULL;
	cf_log_length = cf_log_capacity = 0;
	return text;
}

static void cf_log_quiet(void)
{
	cf_log_mode = 2;
}

static void cf_log_restore(void)
{
	cf_log_mode = 0;
}

#endif
