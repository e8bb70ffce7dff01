/* SPDX-License-Identifier: MIT */
/* route.c - see route.h. */
#include "route.h"

#include <string.h>

#include "api.h"
#include "events.h"
#include "page.h"
#include "report.h"

const struct route routes[] = {
	{"/counter/increment", METHOD_POST | METHOD_PUT, ROLE_WRITE, ask_increment, tell_new_value, NULL},
	{"/counter/decrement", METHOD_POST | METHOD_PUT, ROLE_WRITE, ask_decrement, tell_new_value, NULL},
	{"/counter", METHOD_GET, ROLE_READ, ask_value, tell_value, NULL},
	{"/counter", METHOD_POST, ROLE_WRITE, ask_create, tell_create, NULL},
	{"/counter/value", METHOD_GET, ROLE_READ, ask_value, tell_value, NULL},
	{"/counter/logs", METHOD_GET, ROLE_READ, ask_logs, tell_logs, NULL},
	{"/counters", METHOD_POST, ROLE_WRITE, ask_batch, tell_batch, NULL},
	{"/sharded", METHOD_POST, ROLE_READ, ask_sharded, tell_sharded, NULL},
	{"/hit", METHOD_POST | METHOD_PUT, ROLE_WRITE, ask_hit, tell_new_value, NULL},
	{"/hits", METHOD_GET, ROLE_READ, ask_hits, tell_hits, NULL},
	{"/health", METHOD_GET, ROLE_NOBODY, ask_health, NULL, NULL},
	{"/ready", METHOD_GET, ROLE_NOBODY, ask_ready, tell_ready, NULL},
	{"/metrics", METHOD_GET, ROLE_READ, ask_report, tell_report, report_send},
	{"/events", METHOD_GET, ROLE_READ, ask_events, NULL, events_send},
	{"/", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
	{"/app.js", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
	{"/app.css", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
	{"/uplot.js", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
	{"/uplot.css", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
	{"/icon.svg", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
	{"/openapi.json", METHOD_GET, ROLE_NOBODY, ask_page, NULL, page_send},
};
const size_t route_count = sizeof(routes) / sizeof(routes[0]);

const struct route *route_find(const char *path, unsigned method, bool *is_other)
{
	const struct route *found = NULL;

	*is_other = true;
	for (size_t i = 0; i < route_count; i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		found = &routes[i];
		if (routes[i].methods & method) {
			*is_other = false;
			break;
		}
	}
	return found;
}

static unsigned methods_of(const char *path)
{
	unsigned methods = 0;

	for (size_t i = 0; i < route_count; i++)
		if (strcmp(routes[i].path, path) == 0)
			methods |= routes[i].methods;
	return methods;
}

const char *route_allow(const struct route *r)
{
	static const char *const texts[] = {"",	   "GET, HEAD",	     "POST",	  "GET, HEAD, POST",
					    "PUT", "GET, HEAD, PUT", "POST, PUT", "GET, HEAD, POST, PUT"};

	return texts[methods_of(r->path) & 7];
}

size_t route_number(const struct route *r)
{
	return r ? (size_t)(r - routes) : route_count;
}
