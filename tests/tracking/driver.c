/* A stand-in for NVIDIA's driver library (libnvidia-ml.so.1) with one busy GPU, for the monitor of W&B's client. */
#include <string.h>

typedef void *Device;
static int gpu;

static int text(char *out, unsigned size, const char *value) {
    strncpy(out, value, size);
    return 0;
}

int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *out, unsigned size) { return text(out, size, "580.95.05"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) { *device = &gpu; return index ? 2 : 0; }
int nvmlDeviceGetName(Device device, char *out, unsigned size) { return text(out, size, "NVIDIA GeForce RTX 4090"); }
int nvmlDeviceGetUUID(Device device, char *out, unsigned size) { return text(out, size, "GPU-0"); }
int nvmlDeviceGetTemperature(Device device, int sensor, unsigned *degrees) { *degrees = 63; return 0; }
int nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) { *milliwatts = 310000; return 0; }
int nvmlDeviceGetEnforcedPowerLimit(Device device, unsigned *milliwatts) { *milliwatts = 450000; return 0; }

int nvmlDeviceGetMemoryInfo(Device device, unsigned long long memory[3]) { /* total, free, used */
    memory[0] = 24ull << 30, memory[1] = 18ull << 30, memory[2] = 6ull << 30;
    return 0;
}

int nvmlDeviceGetUtilizationRates(Device device, unsigned use[2]) { /* of the processor, of its memory's bandwidth */
    use[0] = 87, use[1] = 41;
    return 0;
}
