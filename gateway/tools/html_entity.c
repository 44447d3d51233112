/* Character references: numbers, the names of Latin 1, and those that pages really use. */
#include "gateway/tools/html.h"

#include <stdlib.h>
#include <string.h>

/* U+00A0 to U+00FF in order. */
static const char *const latin1[] = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml",
};

static const struct {
    const char *name;
    uint32_t code;
} others[] = {
    {"amp", '&'},       {"lt", '<'},        {"gt", '>'},        {"quot", '"'},
    {"apos", '\''},     {"hellip", 0x2026}, {"mdash", 0x2014},  {"ndash", 0x2013},
    {"lsquo", 0x2018},  {"rsquo", 0x2019},  {"sbquo", 0x201a},  {"ldquo", 0x201c},
    {"rdquo", 0x201d},  {"bdquo", 0x201e},  {"bull", 0x2022},   {"trade", 0x2122},
    {"euro", 0x20ac},   {"larr", 0x2190},   {"uarr", 0x2191},   {"rarr", 0x2192},
    {"darr", 0x2193},   {"harr", 0x2194},   {"infin", 0x221e},  {"ne", 0x2260},
    {"le", 0x2264},     {"ge", 0x2265},     {"asymp", 0x2248},  {"minus", 0x2212},
    {"thinsp", 0x2009}, {"ensp", 0x2002},   {"emsp", 0x2003},   {"zwnj", 0x200c},
    {"zwj", 0x200d},    {"lsaquo", 0x2039}, {"rsaquo", 0x203a}, {"dagger", 0x2020},
    {"permil", 0x2030}, {"prime", 0x2032},  {"check", 0x2713},  {"star", 0x2606},
    {"OElig", 0x152},   {"oelig", 0x153},   {"Scaron", 0x160},  {"scaron", 0x161},
    {"alpha", 0x3b1},   {"beta", 0x3b2},    {"gamma", 0x3b3},   {"delta", 0x3b4},
    {"lambda", 0x3bb},  {"mu", 0x3bc},      {"pi", 0x3c0},      {"sigma", 0x3c3},
    {"omega", 0x3c9},   {"Omega", 0x3a9},   {"NewLine", '\n'},  {"Tab", '\t'},
    {"lpar", '('},      {"rpar", ')'},      {"lsqb", '['},      {"rsqb", ']'},
};

static void utf8(uint32_t code, char out[8])
{
    size_t n = 0;

    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        code = 0xfffd;
    if (code < 0x80) {
        out[n++] = (char)code;
    } else if (code < 0x800) {
        out[n++] = (char)(0xc0 | code >> 6);
        out[n++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        out[n++] = (char)(0xe0 | code >> 12);
        out[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (code & 0x3f));
    } else {
        out[n++] = (char)(0xf0 | code >> 18);
        out[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        out[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (code & 0x3f));
    }
    out[n] = '\0';
}

/* "#123" or "#x1f". */
static bool number(const char *name, uint32_t *ret)
{
    const char *digits = name[1] == 'x' || name[1] == 'X' ? name + 2 : name + 1;
    char *end;
    unsigned long value = strtoul(digits, &end, digits == name + 1 ? 10 : 16);

    if (end == digits || *end || *digits == '-' || *digits == '+' || *digits == ' ')
        return false;
    *ret = value > 0x10ffff ? 0xfffd : (uint32_t)value;
    return true;
}

static bool named(const char *name, uint32_t *ret)
{
    for (size_t i = 0; i < COUNT(others); i++) {
        if (strcmp(others[i].name, name) == 0) {
            *ret = others[i].code;
            return true;
        }
    }
    for (size_t i = 0; i < COUNT(latin1); i++) {
        if (strcmp(latin1[i], name) == 0) {
            *ret = (uint32_t)(0xa0 + i);
            return true;
        }
    }
    return false;
}

size_t html_entity(const char *text, size_t length, char out[8])
{
    char name[16];
    uint32_t code;
    size_t n = 1;

    while (n < length && n < sizeof(name) && text[n] != ';' &&
           strchr("#0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", text[n]) &&
           text[n])
        n++;
    if (n < 2 || n >= length || n >= sizeof(name) || text[n] != ';')
        return 0;
    memcpy(name, text + 1, n - 1);
    name[n - 1] = '\0';
    if (!(name[0] == '#' ? number(name, &code) : named(name, &code)))
        return 0;
    if (code == 0xad) /* a soft hyphen is no text */
        out[0] = '\0';
    else
        utf8(code == 0xa0 ? ' ' : code, out);
    return n + 1;
}
