/* A libnvidia-ml.so.1 of two devices that says what a text file tells it to: what a real driver does not do on demand.
 *
 * FAKE_NVML names the file. A line is a device (0, 1), what is asked, and the answers, one a call; the last one stays:
 *
 *     0 utilization 10 20 lost 30
 *     1 energy not_supported
 *     0 process 4242 1073741824        (a running process and its memory; - where that is not available)
 *     1 handle lost
 *
 * What is asked: handle, uuid, name, total, used (bytes), utilization (percent), power (milliwatts), energy (millijoules).
 * "init", "count" are of device 0. An answer is a number, or lost, not_supported, no_permission. Without a line:
 * name and UUID as below, 80 GB, nothing used, 0 everywhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NO_PERMISSION = 4,
    INSUFFICIENT_SIZE = 7,
    GPU_IS_LOST = 15
};
enum { DEVICES = 2, RULES = 64, ANSWERS = 64 };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned int pid; unsigned long long memory; unsigned int instance, compute_instance; } process_t;

static struct rule { int device; char what[24]; char answers[ANSWERS][24]; int count, next; } rules[RULES];
static struct device { int number; } devices[DEVICES] = {{0}, {1}};
static const char *uuids[] = {"GPU-11111111-aaaa-bbbb-cccc-000000000000", "GPU-22222222-aaaa-bbbb-cccc-000000000000"};
static int read_rules, opened;

static void load(void) {
    char line[4096], *word;
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    int i = 0;
    read_rules = 1;
    if (path && !file) abort();
    while (file && i < RULES && fgets(line, sizeof line, file)) {
        struct rule *rule = &rules[i];
        if (!(word = strtok(line, " \n"))) continue;
        rule->device = atoi(word);
        snprintf(rule->what, sizeof rule->what, "%s", strtok(NULL, " \n"));
        while (rule->count < ANSWERS && (word = strtok(NULL, " \n")))
            snprintf(rule->answers[rule->count++], sizeof rule->answers[0], "%s", word);
        i++;
    }
    if (file) fclose(file);
}

static int answer(int device, const char *what, unsigned long long *value) {
    int i;
    for (i = 0; i < RULES; i++) {
        struct rule *rule = &rules[i];
        const char *said;
        if (rule->device != device || strcmp(rule->what, what) || !rule->count) continue;
        said = rule->answers[rule->next];
        if (rule->next < rule->count - 1) rule->next++;
        if (!strcmp(said, "lost")) return GPU_IS_LOST;
        if (!strcmp(said, "not_supported")) return NOT_SUPPORTED;
        if (!strcmp(said, "no_permission")) return NO_PERMISSION;
        *value = strtoull(said, NULL, 10);
        return SUCCESS;
    }
    return SUCCESS;
}

static int of(struct device *device, const char *what, unsigned long long *value) {
    if (!opened) return UNINITIALIZED;
    return device ? answer(device->number, what, value) : INVALID_ARGUMENT;
}

int nvmlInitWithFlags(unsigned int flags) {
    unsigned long long ignored = 0;
    int status;
    (void)flags;
    if (!read_rules) load();
    if (!(status = answer(0, "init", &ignored))) opened++;
    return status;
}

int nvmlShutdown(void) {
    if (!opened) return UNINITIALIZED;
    opened--;
    return SUCCESS;
}

const char *nvmlErrorString(int status) {
    switch (status) {
    case GPU_IS_LOST: return "GPU is lost";
    case NOT_SUPPORTED: return "Not Supported";
    case NO_PERMISSION: return "Insufficient Permissions";
    default: return "Unknown Error";
    }
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    unsigned long long value = DEVICES;
    int status = of(&devices[0], "count", &value);
    *count = (unsigned int)value;
    return status;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct device **device) {
    unsigned long long ignored = 0;
    *device = index < DEVICES ? &devices[index] : NULL;
    return of(*device, "handle", &ignored);
}

int nvmlDeviceGetUUID(struct device *device, char *uuid, unsigned int length) {
    unsigned long long ignored = 0;
    int status = of(device, "uuid", &ignored);
    if (!status) snprintf(uuid, length, "%s", uuids[device->number]);
    return status;
}

int nvmlDeviceGetName(struct device *device, char *name, unsigned int length) {
    unsigned long long ignored = 0;
    int status = of(device, "name", &ignored);
    if (!status) snprintf(name, length, "Made Up GPU");
    return status;
}

int nvmlDeviceGetMemoryInfo(struct device *device, memory_t *memory) {
    unsigned long long total = 80000000000ULL, used = 0;
    int status = of(device, "total", &total);
    if (!status) status = of(device, "used", &used);
    *memory = (memory_t){total, total - used, used};
    return status;
}

int nvmlDeviceGetUtilizationRates(struct device *device, utilization_t *rates) {
    unsigned long long percent = 0;
    int status = of(device, "utilization", &percent);
    *rates = (utilization_t){(unsigned int)percent, 0};
    return status;
}

int nvmlDeviceGetPowerUsage(struct device *device, unsigned int *milliwatts) {
    unsigned long long value = 0;
    int status = of(device, "power", &value);
    *milliwatts = (unsigned int)value;
    return status;
}

int nvmlDeviceGetTotalEnergyConsumption(struct device *device, unsigned long long *millijoules) {
    *millijoules = 0;
    return of(device, "energy", millijoules);
}

int nvmlDeviceGetComputeRunningProcesses_v3(struct device *device, unsigned int *count, process_t *processes) {
    unsigned int room = *count;
    int i;
    if (!opened) return UNINITIALIZED;
    *count = 0;
    for (i = 0; i < RULES; i++) {
        struct rule *rule = &rules[i];
        if (rule->device != device->number || strcmp(rule->what, "process")) continue;
        if (*count < room) {
            int known = rule->count > 1 && strcmp(rule->answers[1], "-");
            unsigned long long memory = known ? strtoull(rule->answers[1], NULL, 10) : ~0ULL;
            processes[*count] = (process_t){(unsigned int)atoi(rule->answers[0]), memory, ~0U, ~0U};
        }
        ++*count;
    }
    return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}
