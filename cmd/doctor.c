/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FOUND_BYTES = 1024 };

static const char *const grade_words[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_BAD] = "bad",
};

static void put_json(struct output *out, enum doctor_grade grade, const char *what, struct slice found,
		     const char *change)
{
	json_open(out);
	json_text(out, slice_str("grade"), slice_str(grade_words[grade]));
	json_text(out, slice_str("what"), slice_str(what));
	json_text(out, slice_str("found"), found);
	if (*change)
		json_text(out, slice_str("change"), slice_str(change));
	json_close(out);
}

static void put_line(struct output *out, enum doctor_grade grade, const char *what, struct slice found,
		     const char *change)
{
	static const char spaces[] = "     ";
	const char *word = grade_words[grade];
	output_text(out, slice_str(word));
	output_text(out, slice_str(spaces + strlen(word)));
	output_name(out, slice_str(what));
	output_text(out, slice_str(": "));
	output_name(out, found);
	if (*change) {
		output_text(out, slice_str("; "));
		output_name(out, slice_str(change));
	}
	output_line(out);
}

void doctor_say(struct doctor *d, enum doctor_grade grade, const char *what, const char *change,
		const char *found, ...)
{
	char text[FOUND_BYTES];
	va_list args;
	va_start(args, found);
	vsnprintf(text, sizeof(text), found, args);
	va_end(args);
	d->grades[grade]++;
	if (d->inv->is_quiet && grade == DOCTOR_OK)
		return;
	if (d->inv->is_json)
		put_json(&d->out, grade, what, slice_str(text), change ? change : "");
	else
		put_line(&d->out, grade, what, slice_str(text), change ? change : "");
	output_flush(&d->out);
}
