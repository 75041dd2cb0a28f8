// A guest that attacks its machine: ports (all of the first, and some of the others), then the
// registers of the devices, then rings whose every field is wrong. It runs in ring 0 and reaches
// all of them.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// Where Birgus's kernel sees physical memory, and its own monitor has its devices.
#define DIRECT_MAP 0xffff800000000000ull
#define DEVICES 0xd0000000ull
#define PLACES 11

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t number(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void sweep_ports(void) {
    for (unsigned port = 0; port < 0x10000; port += port < 0x1000 ? 1 : 61) {
        uint32_t value;
        // Not the controllers of interrupts, the serial port, nor what resets the machine.
        if (port == 0x20 || port == 0x21 || port == 0xa0 || port == 0xa1 || port == 0x64 ||
            (port >= 0x3f8 && port < 0x400) || port == 0x4d0 || port == 0x4d1)
            continue;
        __asm__ volatile("inl %w1, %0" : "=a"(value) : "Nd"(port));
        __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
    }
}

static void attack_registers(void) {
    for (int i = 0; i < 20000; i++) {
        volatile uint8_t *at = (uint8_t *)(DIRECT_MAP + DEVICES + number() % (PLACES * 0x1000));
        // The first devices stay as they are for longer: they are the way out.
        if (i < 15000 && (uintptr_t)at < DIRECT_MAP + DEVICES + 0x1000)
            continue;
        switch (number() % 4) {
        case 0:
            *at = number();
            break;
        case 1:
            *(volatile uint32_t *)((uintptr_t)at & ~3ull) = number();
            break;
        case 2:
            *(volatile uint64_t *)at = number();
            break;
        default:
            (void)*(volatile uint16_t *)at;
        }
    }
}

static void attack_rings(void) {
    static const uint32_t wrong[] = {0, 1, 3, 0xffff, 0x10000, 0xfffff000, 0xffffffff};
    for (int place = PLACES - 1; place >= 0; place--) {
        volatile uint32_t *r = (uint32_t *)(DIRECT_MAP + DEVICES + place * 0x1000);
        for (int i = 0; i < 200; i++) {
            r[0x70 / 4] = 0;
            r[0x70 / 4] = 3;
            r[0x24 / 4] = 1;
            r[0x20 / 4] = 1;
            r[0x70 / 4] = 11;
            r[0x30 / 4] = number() % 3;
            r[0x38 / 4] = i % 2 ? wrong[number() % 7] : 16;
            for (int offset = 0x80; offset <= 0xa4; offset += 4)
                r[offset / 4] = i % 4 ? number() % 0x8000 & ~0xfu : wrong[number() % 7];
            r[0x44 / 4] = 1;
            r[0x70 / 4] = 15;
            for (int kick = 0; kick < 3; kick++)
                r[0x50 / 4] = kick;
        }
    }
}

int main(void) {
    sweep_ports();
    puts("ports");
    fflush(stdout);
    attack_registers();
    attack_rings();
    puts("alive");
    return 0;
}
