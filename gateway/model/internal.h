/* Between model.c and run.c only. */
#pragma once

#include "gateway/model/catalog.h"
#include "gateway/model/discover.h"
#include "gateway/model/model.h"

struct models {
    struct gateway *gw;
    struct catalog catalog;
    struct discovery *discovery;
    struct model_run *first;
    size_t count;
};

/* Ends the run at once, end() comes from inside: the models are going. */
void run_end_now(struct model_run *run);
