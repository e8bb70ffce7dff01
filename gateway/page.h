/* SPDX-License-Identifier: MIT */
/* page.h - files of the live page, and the description of the API: in the program's own text. Any thread. */
#ifndef SHC_GATEWAY_PAGE_H
#define SHC_GATEWAY_PAGE_H

#include <microhttpd.h>

struct exchange;

void ask_page(struct exchange *x); /* says 200 */
enum MHD_Result page_send(struct exchange *x);

#endif
