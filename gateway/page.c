/* SPDX-License-Identifier: MIT */
/*
 * page.c - see page.h. The files are put into the program by the assembler, from PAGE_DIR, where make has
 * collected them.
 */
#include "page.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../lib/hash.h"
#include "exchange.h"
#include "route.h"

#ifndef PAGE_DIR
#define PAGE_DIR "build/page"
#endif

/* NAME_begin and NAME_end are around its bytes. */
#define EMBED(name, file)                                                                                    \
	__asm__(".pushsection .rodata\n"                                                                     \
		".hidden " #name "_begin\n.globl " #name "_begin\n"                                          \
		".hidden " #name "_end\n.globl " #name "_end\n" #name "_begin:\n"                            \
		".incbin \"" PAGE_DIR "/" file "\"\n" #name "_end:\n"                                        \
		".byte 0\n"                                                                                  \
		".popsection\n");                                                                            \
	extern const char name##_begin[] __attribute__((visibility("hidden")));                              \
	extern const char name##_end[] __attribute__((visibility("hidden")))

EMBED(page_index, "index.html");
EMBED(page_app_js, "app.js");
EMBED(page_app_css, "app.css");
EMBED(page_uplot_js, "uplot.js");
EMBED(page_uplot_css, "uplot.css");
EMBED(page_icon, "icon.svg");
EMBED(page_openapi, "openapi.json");

enum { TAG_SIZE = 20 };

static struct file {
	const char *path, *type, *begin, *end;
	char tag[TAG_SIZE];
} files[] = {
	{"/", "text/html; charset=utf-8", page_index_begin, page_index_end, ""},
	{"/app.js", "text/javascript; charset=utf-8", page_app_js_begin, page_app_js_end, ""},
	{"/app.css", "text/css; charset=utf-8", page_app_css_begin, page_app_css_end, ""},
	{"/uplot.js", "text/javascript; charset=utf-8", page_uplot_js_begin, page_uplot_js_end, ""},
	{"/uplot.css", "text/css; charset=utf-8", page_uplot_css_begin, page_uplot_css_end, ""},
	{"/icon.svg", "image/svg+xml", page_icon_begin, page_icon_end, ""},
	{"/openapi.json", "application/json", page_openapi_begin, page_openapi_end, ""},
};

static void make_tags(void)
{
	static const struct hash_key fixed = {0x736863, 0x70616765};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)snprintf(files[i].tag, TAG_SIZE, "\"%016" PRIx64 "\"",
			       hash_bytes(&fixed, files[i].begin, (size_t)(files[i].end - files[i].begin)));
}

static const struct file *find(const char *path)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_tags);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

/* "*", or a list of tags, each perhaps weak: a browser keeps what a proxy has packed under W/. */
static bool has_it(struct exchange *x, const struct file *f)
{
	const char *list = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "If-None-Match");

	return list && (strcmp(list, "*") == 0 || strstr(list, f->tag));
}

static void add_headers(struct MHD_Response *r, const struct file *f)
{
	MHD_add_response_header(r, "Content-Type", f->type);
	MHD_add_response_header(r, "ETag", f->tag);
	MHD_add_response_header(r, "Cache-Control", "no-cache");
	MHD_add_response_header(
		r, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		"img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
}

void ask_page(struct exchange *x)
{
	const struct file *f = find(x->route->path);

	if (!f)
		exchange_fail(x, MHD_HTTP_NOT_FOUND, "there is no %s", x->route->path);
	else
		x->status = MHD_HTTP_OK;
}

enum MHD_Result page_send(struct exchange *x)
{
	const struct file *f = find(x->route->path);
	bool is_known = has_it(x, f);
	struct MHD_Response *response;
	enum MHD_Result rc;

	if (is_known)
		x->status = MHD_HTTP_NOT_MODIFIED;
	/* It only reads them. */
	response = MHD_create_response_from_buffer(is_known ? 0 : (size_t)(f->end - f->begin),
						   (void *)(uintptr_t)f->begin, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	add_headers(response, f);
	rc = MHD_queue_response(x->connection, x->status, response);
	MHD_destroy_response(response);
	return rc;
}
