/*
 * CompressAI's rANS coder: symbols and their rows in a CDF table <-> bytes.
 *
 * The arithmetic follows CompressAI's rans_interface.cpp and Fabian Giesen's ryg_rans (rans64.h): a 64-bit state,
 * 32-bit words and 16-bit frequencies; a value outside of its row's range is an escape, followed by nibbles. plain.py is
 * the same coder in Python, and docs/format.md describes the stream bit by bit.
 *
 * Nothing here allocates, and every index is checked before it is used: tables by elic_rans_prepare, rows and words in
 * the loops. Whatever bytes the decoder is given, it reads at most n_words words, writes at most n symbols and returns.
 */

#include <stdint.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

enum {
    PRECISION = 16, /* bits of a CDF, which ends at 1 << PRECISION */
    NIBBLE_BITS = 4,
    MAX_NIBBLES = 7,        /* of a value out of range; as in tables.py */
    MAX_OFFSET = 1 << 20,   /* of a row's first value, either way; as in tables.py */
    HINT_BITS = 8,
    HINTS = 1 << HINT_BITS, /* of a row: the bin at each 1/HINTS of the CDF, where the decoder begins its search */
};

enum { /* as in native.py */
    BAD_TABLES = -1,
    BAD_ROW = -2,
    TOO_FAR = -3,
    NO_ROOM = -4,
    ENDS_EARLY = -5,
    OUT_OF_RANGE = -6,
    ENDS_ELSEWHERE = -7,
};

#define STATE_MIN ((uint64_t)1 << 31)
#define LOW_BITS(state, bits) ((uint32_t)(state) & ((1u << (bits)) - 1))

/* The arrays of a CdfTables, and hints that elic_rans_prepare fills. */
typedef struct {
    const int32_t *cdfs;    /* [rows, longest] */
    const int32_t *lengths; /* [rows] */
    const int32_t *offsets; /* [rows] */
    uint16_t *hints;        /* [rows, HINTS] */
    int32_t rows;
    int32_t longest;
} elic_tables;

/* Checks the tables and fills their hints. Returns 0 or BAD_TABLES; tables that failed must not be used. */
EXPORTED int64_t elic_rans_prepare(const elic_tables *tables)
{
    for (int64_t row = 0; row < tables->rows; row++) {
        const int32_t *cdf = tables->cdfs + row * tables->longest;
        const int32_t length = tables->lengths[row];
        if (length < 3 || length > tables->longest || cdf[0] != 0 || cdf[length - 1] != 1 << PRECISION)
            return BAD_TABLES;
        if (tables->offsets[row] < -MAX_OFFSET || tables->offsets[row] > MAX_OFFSET)
            return BAD_TABLES;
        for (int32_t i = 1; i < length; i++)
            if (cdf[i] <= cdf[i - 1])
                return BAD_TABLES;
        int32_t bin = 0;
        for (int32_t hint = 0; hint < HINTS; hint++) {
            while (cdf[bin + 1] <= hint << (PRECISION - HINT_BITS))
                bin++;
            tables->hints[row * HINTS + hint] = (uint16_t)bin;
        }
    }
    return 0;
}

/* The encoder's state, and the buffer that it fills from the end on: the decoder reads last what was written first. */
typedef struct {
    uint64_t state;
    uint32_t *words;
    int64_t at;
} writer;

/* Moves the low word of the state into the buffer if a symbol of this frequency would make the state overflow. */
static inline int make_room(writer *out, uint32_t frequency)
{
    if (out->state < (uint64_t)frequency << (31 - PRECISION + 32))
        return 1;
    if (out->at == 0)
        return 0;
    out->words[--out->at] = (uint32_t)out->state;
    out->state >>= 32;
    return 1;
}

static inline int put(writer *out, uint32_t start, uint32_t frequency)
{
    /* Dividing 64-bit integers takes up to 40 cycles and depends on the symbol before; this reciprocal depends only on
     * the table. The product is within 1 of the quotient (the state is below 2^63 and the quotient below 2^47, so that
     * rounding moves it by less than 2^-4), and the two lines after it make it exact. */
    if (!make_room(out, frequency))
        return 0;
    int64_t quotient = (int64_t)((double)(int64_t)out->state * (1.0 / frequency));
    int64_t rest = (int64_t)out->state - quotient * frequency;
    if (rest < 0)
        quotient--, rest += frequency;
    else if (rest >= (int64_t)frequency)
        quotient++, rest -= frequency;
    out->state = ((uint64_t)quotient << PRECISION) + (uint64_t)rest + start;
    return 1;
}

static int put_nibble(writer *out, uint32_t nibble)
{
    if (!make_room(out, 1u << (PRECISION - NIBBLE_BITS)))
        return 0;
    out->state = out->state << NIBBLE_BITS | nibble;
    return 1;
}

/* Writes what follows an escape: how many nibbles, and the nibbles from the lowest on. */
static int put_escaped(writer *out, uint32_t folded)
{
    uint32_t count = 0;
    while (count < MAX_NIBBLES && folded >> (NIBBLE_BITS * count))
        count++;
    for (uint32_t j = count; j-- > 0;)
        if (!put_nibble(out, LOW_BITS(folded >> (NIBBLE_BITS * j), NIBBLE_BITS)))
            return 0;
    return put_nibble(out, count);
}

/*
 * Encodes n symbols by their rows into the last words of a buffer; 2 * n + 2 words are always enough.
 * Returns how many words it wrote, or BAD_ROW, TOO_FAR (a symbol is too far out of its row's range) or NO_ROOM.
 */
EXPORTED int64_t elic_rans_encode(const elic_tables *tables, const int32_t *symbols, const uint16_t *rows, int64_t n,
                                  uint32_t *words, int64_t capacity)
{
    writer out = {STATE_MIN, words, capacity};
    for (int64_t i = n; i-- > 0;) {
        const int64_t row = rows[i];
        if (row >= tables->rows)
            return BAD_ROW;
        const int32_t *cdf = tables->cdfs + row * tables->longest;
        const int64_t escape = tables->lengths[row] - 2;
        int64_t value = (int64_t)symbols[i] - tables->offsets[row];
        if (value < 0 || value >= escape) {
            const int64_t folded = value < 0 ? -2 * value - 1 : 2 * (value - escape);
            if (folded >> (NIBBLE_BITS * MAX_NIBBLES))
                return TOO_FAR;
            if (!put_escaped(&out, (uint32_t)folded))
                return NO_ROOM;
            value = escape;
        }
        if (!put(&out, (uint32_t)cdf[value], (uint32_t)(cdf[value + 1] - cdf[value])))
            return NO_ROOM;
    }
    if (out.at < 2)
        return NO_ROOM;
    words[--out.at] = (uint32_t)(out.state >> 32);
    words[--out.at] = (uint32_t)out.state;
    return capacity - out.at;
}

/* The decoder's state, and the words that it has not read yet. */
typedef struct {
    uint64_t state;
    const uint32_t *next;
    const uint32_t *end;
} reader;

static inline int set_state(reader *in, uint64_t state)
{
    if (state < STATE_MIN) {
        if (in->next == in->end)
            return 0;
        state = state << 32 | *in->next++;
    }
    in->state = state;
    return 1;
}

/* Returns a nibble, or a negative number at the end of the words. */
static int32_t take_nibble(reader *in)
{
    const uint32_t nibble = LOW_BITS(in->state, NIBBLE_BITS);
    return set_state(in, in->state >> NIBBLE_BITS) ? (int32_t)nibble : ENDS_EARLY;
}

/* Reads what follows an escape. Returns the folded value, below 2^28, or a negative number. */
static int32_t take_escaped(reader *in)
{
    int32_t folded = 0;
    const int32_t count = take_nibble(in);
    if (count > MAX_NIBBLES)
        return OUT_OF_RANGE;
    for (int32_t j = 0; j < count; j++) {
        const int32_t nibble = take_nibble(in);
        if (nibble < 0)
            return nibble;
        folded |= nibble << (NIBBLE_BITS * j);
    }
    return count < 0 ? count : folded;
}

/*
 * Decodes n symbols by their rows.
 * Returns 0, or BAD_ROW, ENDS_EARLY, OUT_OF_RANGE (an escape of too many nibbles) or ENDS_ELSEWHERE (words are left, or
 * the state is not the one that the encoder began with); the symbols are then meaningless.
 */
EXPORTED int64_t elic_rans_decode(const elic_tables *tables, const uint32_t *words, int64_t n_words,
                                  const uint16_t *rows, int64_t n, int32_t *symbols)
{
    if (n_words < 2)
        return ENDS_EARLY;
    reader in = {words[0] | (uint64_t)words[1] << 32, words + 2, words + n_words};
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = rows[i];
        if (row >= tables->rows)
            return BAD_ROW;
        const int32_t *cdf = tables->cdfs + row * tables->longest;
        const int32_t escape = tables->lengths[row] - 2;
        const int32_t low = (int32_t)LOW_BITS(in.state, PRECISION);
        int32_t value = tables->hints[row * HINTS + (low >> (PRECISION - HINT_BITS))];
        while (cdf[value + 1] <= low) /* ends at the last bin, whose end is above every low */
            value++;
        const uint64_t frequency = (uint64_t)(cdf[value + 1] - cdf[value]);
        if (!set_state(&in, frequency * (in.state >> PRECISION) + (uint64_t)(low - cdf[value])))
            return ENDS_EARLY;
        if (value == escape) {
            const int32_t folded = take_escaped(&in);
            if (folded < 0)
                return folded;
            value = folded & 1 ? -(folded >> 1) - 1 : (folded >> 1) + escape;
        }
        symbols[i] = value + tables->offsets[row];
    }
    return in.next == in.end && in.state == STATE_MIN ? 0 : ENDS_ELSEWHERE;
}
