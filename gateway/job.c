/* SPDX-License-Identifier: MIT */
/* job.c - see job.h. */
#include "job.h"

#include <stdlib.h>

void job_fini(struct job *job)
{
	for (size_t i = 0; i < job->add_count; i++)
		free(job->adds[i].name);
	free(job->adds);
	free(job->parts);
	free(job->log);
	for (size_t i = 0; i < JOB_BACKENDS_MAX; i++) {
		free(job->texts[i]);
		job->texts[i] = NULL;
	}
	for (size_t i = 0; i < job->value_count; i++)
		free(job->values[i].name);
	free(job->values);
	job->values = NULL;
	job->value_count = 0;
	job->adds = NULL;
	job->parts = NULL;
	job->log = NULL;
	job->add_count = job->part_count = job->log_count = 0;
}
