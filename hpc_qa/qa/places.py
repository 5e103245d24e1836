"""Names of states and countries, for texts that write them in small letters or abbreviate them.

The states and territories of the United States and the countries of ISO 3166-1 under their English short names. A name
that is capitalised needs no list (`names.py`).
"""

US_STATES = (
    "alabama;alaska;arizona;arkansas;california;colorado;connecticut;delaware;florida;georgia;hawaii;idaho;illinois;"
    "indiana;iowa;kansas;kentucky;louisiana;maine;maryland;massachusetts;michigan;minnesota;mississippi;missouri;"
    "montana;nebraska;nevada;new hampshire;new jersey;new mexico;new york;north carolina;north dakota;ohio;oklahoma;"
    "oregon;pennsylvania;rhode island;south carolina;south dakota;tennessee;texas;utah;vermont;virginia;washington;"
    "west virginia;wisconsin;wyoming;district of columbia;american samoa;guam;northern mariana islands;puerto rico;"
    "virgin islands"
).split(";")

COUNTRIES = (
    "afghanistan;albania;algeria;andorra;angola;antigua and barbuda;argentina;armenia;aruba;australia;austria;"
    "azerbaijan;bahamas;bahrain;bangladesh;barbados;belarus;belgium;belize;benin;bermuda;bhutan;bolivia;"
    "bosnia and herzegovina;botswana;brazil;brunei;bulgaria;burkina faso;burundi;cambodia;cameroon;canada;cape verde;"
    "central african republic;chad;chile;china;colombia;comoros;congo;costa rica;croatia;cuba;curaçao;cyprus;czechia;"
    "czech republic;denmark;djibouti;dominica;dominican republic;ecuador;egypt;el salvador;equatorial guinea;eritrea;"
    "estonia;eswatini;ethiopia;fiji;finland;france;gabon;gambia;germany;ghana;gibraltar;greece;greenland;grenada;"
    "guatemala;guernsey;guinea;guinea bissau;guyana;haiti;honduras;hong kong;hungary;iceland;india;indonesia;iran;iraq;"
    "ireland;israel;italy;ivory coast;jamaica;japan;jersey;jordan;kazakhstan;kenya;kiribati;kosovo;kuwait;kyrgyzstan;"
    "laos;latvia;lebanon;lesotho;liberia;libya;liechtenstein;lithuania;luxembourg;macao;madagascar;malawi;malaysia;"
    "maldives;mali;malta;marshall islands;mauritania;mauritius;mexico;micronesia;moldova;monaco;mongolia;montenegro;"
    "morocco;mozambique;myanmar;namibia;nauru;nepal;netherlands;new zealand;nicaragua;niger;nigeria;north korea;"
    "north macedonia;norway;oman;pakistan;palau;palestine;panama;papua new guinea;paraguay;peru;philippines;poland;"
    "portugal;qatar;romania;russia;rwanda;saint kitts and nevis;saint lucia;samoa;san marino;saudi arabia;senegal;"
    "serbia;seychelles;sierra leone;singapore;slovakia;slovenia;solomon islands;somalia;south africa;south korea;"
    "south sudan;spain;sri lanka;sudan;suriname;sweden;switzerland;syria;taiwan;tajikistan;tanzania;thailand;"
    "timor leste;togo;tonga;trinidad and tobago;tunisia;turkey;turkmenistan;tuvalu;uganda;ukraine;"
    "united arab emirates;united kingdom;united states;uruguay;uzbekistan;vanuatu;vatican;venezuela;vietnam;yemen;"
    "zambia;zimbabwe"
).split(";")

POSTAL_CODES = dict(
    zip(
        "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR"
        " PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR VI".split(),
        US_STATES,
        strict=True,
    )
)
# Patterns of what is written for a place in place of its name.
ABBREVIATIONS = {
    "united states": r"\b(?:US|USA)\b|\bU\.\s?S\.|\bAmerica",
    "united kingdom": r"\bUK\b|\bU\.\s?K\.|\bBrit(?:ain|ish)\b",
    "united arab emirates": r"\bUAE\b",
    "district of columbia": r"\bD\.\s?C\.",
}
