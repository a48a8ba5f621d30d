"""The continent of a country (UN M49, with the Americas in two)."""

from functools import cache

from django_countries import countries

CODES = {
    "Africa": "DZ AO BJ BW IO BF BI CV CM CF TD KM CG CD CI DJ EG GQ ER SZ ET TF GA GM GH GN GW KE "
    "LS LR LY MG MW ML MR MU YT MA MZ NA NE NG RE RW SH ST SN SC SL SO ZA SS SD TZ TG TN UG EH ZM "
    "ZW",
    "Antarctica": "AQ",
    "Asia": "AF AM AZ BH BD BT BN KH CN CY GE HK IN ID IR IQ IL JP JO KZ KP KR KW KG LA LB MO MY "
    "MV MN MM NP OM PK PS PH QA SA SG LK SY TW TJ TH TL TR TM AE UZ VN YE",
    "Europe": "AX AL AD AT BY BE BA BG HR CZ DK EE FO FI FR DE GI GR GG VA HU IS IE IM IT JE LV LI "
    "LT LU MT MD MC ME NL MK NO PL PT RO RU SM RS SK SI ES SJ SE CH UA GB",
    "Latin America and the Caribbean": "AI AG AR AW BS BB BZ BO BQ BV BR KY CL CO CR CU CW DM DO "
    "EC SV FK GF GD GP GT GY HT HN JM MQ MX MS NI PA PY PE PR BL KN LC MF VC SX GS SR TT TC UY VE "
    "VG VI",
    "North America": "BM CA GL PM US",
    "Oceania": "AS AU CX CC CK FJ PF GU HM KI MH FM NR NC NU NF MP NZ PW PG PN WS SB TK TO TV UM "
    "VU WF",
}
REGION = {code: region for region, codes in CODES.items() for code in codes.split()}


@cache
def _codes() -> dict[str, str]:
    return {str(name): code for code, name in countries}


def region_of(country: str) -> str:
    """The region of a country, given by its name as an application keeps it, or by its code."""
    return REGION.get(_codes().get(country, country), "not known")
