/* A SPANK plugin that takes the options of pyxis and shows them to the task as PYXIS_STUB_<OPTION>, starting no
 * container. So a test can see what a real srun makes of --container-*.
 * Options: https://github.com/NVIDIA/pyxis, README. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <slurm/spank.h>

SPANK_PLUGIN(pyxis_stub, 1)

enum { VALUES = 5, FLAGS = 6, LONGEST = 8192 };
static const char *values[VALUES] = {
    "container-image", "container-mounts", "container-workdir", "container-name", "container-env"};
static const char *flags[FLAGS] = {
    "container-mount-home",  "no-container-mount-home",  "container-remap-root",
    "no-container-remap-root", "container-writable", "no-container-entrypoint"};
static char given[VALUES + FLAGS][LONGEST];

static int remember(int which, const char *text, int remote) {
    (void)remote;
    snprintf(given[which], LONGEST, "%s", text && *text ? text : "1");
    return 0;
}

int slurm_spank_init(spank_t spank, int argc, char **argv) {
    (void)argc, (void)argv;
    if (spank_context() == S_CTX_SLURMD) return 0;
    for (int i = 0; i < VALUES + FLAGS; i++) {
        int flag = i >= VALUES;
        struct spank_option option = {(char *)(flag ? flags[i - VALUES] : values[i]), flag ? NULL : "VALUE",
                                      "stub of pyxis", !flag, i, remember};
        spank_option_register(spank, &option);
    }
    return 0;
}

int slurm_spank_task_init(spank_t spank, int argc, char **argv) {
    (void)argc, (void)argv;
    for (int i = 0; i < VALUES + FLAGS; i++) {
        char name[80];
        if (!given[i][0]) continue;
        snprintf(name, sizeof name, "PYXIS_STUB_%s", i >= VALUES ? flags[i - VALUES] : values[i]);
        for (char *c = name; *c; c++) *c = *c == '-' ? '_' : (char)toupper(*c);
        spank_setenv(spank, name, given[i], 1);
    }
    return 0;
}
