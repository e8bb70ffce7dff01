/* SPDX-License-Identifier: MIT */
#include "glob.h"

/* The rest of a pattern. Read left to right; never past `end`. */
struct cursor {
	const unsigned char *at, *end;
};

/* A set behind its '[', up to and including ']' or the end of the pattern. As in Redis: ']' closes even as
 * the first character, '\' makes the next character plain, a range may run backwards, and an open set ends
 * with the pattern. */
static bool match_set(struct cursor *p, unsigned char c)
{
	bool inverted = p->at < p->end && *p->at == '^';
	bool found = false;
	p->at += inverted;
	while (p->at < p->end && *p->at != ']') {
		size_t left = (size_t)(p->end - p->at);
		if (left >= 2 && p->at[0] == '\\') {
			found |= p->at[1] == c;
			p->at += 2;
		} else if (left >= 3 && p->at[1] == '-') {
			unsigned char a = p->at[0], b = p->at[2];
			found |= a <= b ? a <= c && c <= b : b <= c && c <= a;
			p->at += 3;
		} else {
			found |= *p->at == c;
			p->at++;
		}
	}
	p->at += p->at < p->end;
	return found != inverted;
}

/* One pattern element that is not '*' against one character. Moves behind the element only on a match. */
static bool match_one(struct cursor *p, unsigned char c)
{
	struct cursor next = {p->at + 1, p->end};
	unsigned char plain = *p->at;
	bool matches;
	if (plain == '?') {
		matches = true;
	} else if (plain == '[') {
		matches = match_set(&next, c);
	} else {
		if (plain == '\\' && next.at < next.end)
			plain = *next.at++;
		matches = plain == c;
	}
	if (matches)
		*p = next;
	return matches;
}

/* Greedy with one point of return: when what follows the last '*' has matched somewhere, no earlier '*' can
 * do better by taking more. So a failure only ever moves the last '*' on by one character. */
bool glob_match(struct slice pattern, struct slice text)
{
	if (pattern.len == 0)
		return text.len == 0;
	const unsigned char *t = (const unsigned char *)text.data;
	struct cursor p = {(const unsigned char *)pattern.data,
			   (const unsigned char *)pattern.data + pattern.len};
	struct cursor behind_star = {NULL, NULL};
	size_t i = 0, star_i = 0;
	while (i < text.len) {
		if (p.at < p.end && *p.at == '*') {
			p.at++;
			if (p.at == p.end)
				return true;
			behind_star = p;
			star_i = i;
		} else if (p.at < p.end && match_one(&p, t[i])) {
			i++;
		} else if (behind_star.at) {
			p = behind_star;
			i = ++star_i;
		} else {
			return false;
		}
	}
	while (p.at < p.end && *p.at == '*')
		p.at++;
	return p.at == p.end;
}
