/*
 * Feeds rans.c random tables, rows, symbols and words, in buffers of exactly their size.
 *
 *   cc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o fuzz_rans fuzz_rans.c
 *   ./fuzz_rans STREAMS SEED
 *
 * AddressSanitizer and UBSan abort at the first access out of bounds; a round trip that fails ends the program with 1.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../runtime/elic_runtime/coder/rans.c"

static uint64_t seed;

static uint32_t random_bits(void) /* splitmix64 */
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 16);
}

static int32_t below(int32_t limit) { return (int32_t)(random_bits() % (uint32_t)limit); }

static void *buffer(int64_t items, size_t size)
{
    void *memory = malloc((size_t)items * size); /* zero bytes too: any access to them is an error */
    if (items && !memory)
        exit(2);
    return memory;
}

static int ascending(const void *a, const void *b) { return *(const int32_t *)a - *(const int32_t *)b; }

/* A row of distinct values between 0 and 2^16; one in 50 is spoiled. */
static void fill_row(int32_t *cdf, int32_t length)
{
    for (int32_t i = 1; i < length - 1; i++)
        cdf[i] = below(3) ? 1 + below(65535) : 1 + below(4 * length);
    qsort(cdf + 1, (size_t)length - 2, sizeof *cdf, ascending);
    for (int32_t i = 1; i < length - 1; i++)
        if (cdf[i] <= cdf[i - 1])
            cdf[i] = cdf[i - 1] + 1;
    cdf[0] = 0;
    cdf[length - 1] = 1 << 16;
    if (below(50) == 0)
        cdf[below(length)] = (int32_t)random_bits();
}

typedef struct {
    int32_t *cdfs, *lengths, *offsets;
    elic_tables tables;
} owned_tables;

static owned_tables random_tables(void)
{
    const int32_t rows = 1 + below(6), longest = 3 + below(below(8) ? 20 : 400);
    owned_tables t = {buffer((int64_t)rows * longest, 4), buffer(rows, 4), buffer(rows, 4), {0}};
    for (int32_t row = 0; row < rows; row++) {
        t.lengths[row] = 3 + below(longest - 2);
        fill_row(t.cdfs + (int64_t)row * longest, t.lengths[row]);
        t.offsets[row] = below(200) ? below(64) - 32 : (int32_t)random_bits();
        if (below(100) == 0)
            t.lengths[row] = (int32_t)random_bits();
    }
    t.tables = (elic_tables){t.cdfs, t.lengths, t.offsets, buffer((int64_t)rows * HINTS, 2), rows, longest};
    return t;
}

static void free_tables(owned_tables *t)
{
    free(t->cdfs);
    free(t->lengths);
    free(t->offsets);
    free(t->tables.hints);
}

/* Encodes random symbols, decodes them, and decodes what damage makes of them. Returns 0 if a round trip fails. */
static int one_stream(const elic_tables *tables, int64_t *decoded)
{
    const int64_t n = below(60), capacity = below(10) ? 2 * n + 2 : below(60);
    int32_t *symbols = buffer(n, 4), *found = buffer(n, 4);
    uint16_t *rows = buffer(n, 2);
    uint32_t *words = buffer(capacity, 4);
    const int stray = below(100) == 0;
    for (int64_t i = 0; i < n; i++) {
        rows[i] = (uint16_t)below(stray ? 65536 : tables->rows);
        symbols[i] = below(20) ? below(40) - 20 : (int32_t)random_bits() >> below(32);
    }
    int64_t count = elic_rans_encode(tables, symbols, rows, n, words, capacity);
    int good = 1;
    if (count >= 0) {
        uint32_t *stream = buffer(count, 4);
        memcpy(stream, words + capacity - count, (size_t)count * 4);
        good = elic_rans_decode(tables, stream, count, rows, n, found) == 0 && !memcmp(found, symbols, (size_t)n * 4);
        stream[below((int32_t)count)] ^= 1u << below(32);
        *decoded += elic_rans_decode(tables, stream, count, rows, n, found) == 0;
        free(stream);
    } else if (count == NO_ROOM && capacity == 2 * n + 2) {
        good = 0;
    }
    const int64_t noise = below(80);
    uint32_t *stream = buffer(noise, 4);
    for (int64_t i = 0; i < noise; i++)
        stream[i] = below(4) ? random_bits() : below(2) ? 0 : UINT32_MAX;
    *decoded += elic_rans_decode(tables, stream, noise, rows, n, found) == 0;
    free(stream);
    free(symbols);
    free(found);
    free(rows);
    free(words);
    return good;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    const int64_t streams = atoll(argv[1]);
    seed = (uint64_t)atoll(argv[2]);
    int64_t refused = 0, decoded = 0;
    for (int64_t done = 0; done < streams;) {
        owned_tables t = random_tables();
        if (elic_rans_prepare(&t.tables) == 0) {
            for (int i = 0; i < 50; i++, done += 3)
                if (!one_stream(&t.tables, &decoded)) {
                    printf("a round trip failed at stream %lld\n", (long long)done);
                    return 1;
                }
        } else {
            refused++;
        }
        free_tables(&t);
    }
    printf("%lld streams; %lld tables refused; %lld damaged streams decoded to symbols\n", (long long)streams,
           (long long)refused, (long long)decoded);
    return refused == 0;
}
