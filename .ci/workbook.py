#!/usr/bin/env python3
"""An exported workbook, read without a line of ours: what its cells hold is what the CSV of the same export says. A case is filed
first, so that there is a figure. Arguments: URL, token of the clerk in Trường Vinh."""

import base64
import csv
import datetime
import io
import json
import sys
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree as xml
import zipfile

url, token = sys.argv[1:]
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
today = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=7))).date()
begin = today - datetime.timedelta(days=7)


def asked(path, message=None):
    """The answer of a GET, or of a POST of this message."""
    request = urllib.request.Request(
        url + path,
        data=None if message is None else json.dumps(message).encode(),
        headers={
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "x-egov-purpose": "case_handling",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def export(form):
    """The figures of the last week by unit, as a file."""
    query = {"statistics.dimension": "STATISTIC_DIMENSION_UNIT", "format": f"TABLE_FORMAT_{form}"}
    for end, day in (("from", begin), ("to", today)):
        query |= {f"statistics.{end}.{part}": getattr(day, part) for part in ("year", "month", "day")}
    file = asked(f"/v1/statistics:export?{urllib.parse.urlencode(query)}")["file"]
    assert file["name"].endswith(f".{form.lower()}"), file["name"]
    return base64.b64decode(file["content"])


def written(kind, value):
    """A number as the CSV writes it, by how the workbook shows it."""
    if kind == "dd/mm/yyyy":
        return (datetime.date(1899, 12, 30) + datetime.timedelta(days=int(value))).strftime("%d/%m/%Y")
    if kind == "10":
        return f"{float(value):.2%}".replace(".", ",")
    return value


def cells(book):
    """The rows of the one sheet, each as long as its last cell that is not empty."""
    styles = xml.fromstring(book.read("xl/styles.xml"))
    forms = {form.get("numFmtId"): form.get("formatCode") for form in styles.iter(f"{MAIN}numFmt")}
    kinds = [look.get("numFmtId") for look in styles.find(f"{MAIN}cellXfs")]
    kinds = [forms.get(kind, kind) for kind in kinds]
    for row in xml.fromstring(book.read("xl/worksheets/sheet1.xml")).iter(f"{MAIN}row"):
        found = {}
        for cell in row:
            place = 0
            for letter in cell.get("r").rstrip("0123456789"):
                place = place * 26 + ord(letter) - ord("A") + 1
            if cell.get("t") == "inlineStr":
                found[place] = "".join(text.text or "" for text in cell.iter(f"{MAIN}t"))
            else:
                found[place] = written(kinds[int(cell.get("s"))], cell.find(f"{MAIN}v").text)
        yield [found.get(place, "") for place in range(1, max(found) + 1)]


asked("/v1/cases", {
    "requestId": str(uuid.uuid4()),
    "procedureCode": "1.001193",
    "competentUnitCode": "16690",
    "channel": "CHANNEL_COUNTER",
    "owner": {
        "kind": "APPLICANT_KIND_CITIZEN",
        "fullName": "Nguyễn Thị Hường",
        "personalNumber": "040190001234",
        "phone": "0912345678",
        "address": "Số 1, đường Lê Mao, phường Trường Vinh, tỉnh Nghệ An",
    },
    "components": [
        {"componentCode": code, "originals": 1} for code in ("to_khai", "giay_chung_sinh", "giay_to_tuy_than")
    ],
    "subject": "Đăng ký khai sinh cho con",
})
book = zipfile.ZipFile(io.BytesIO(export("XLSX")))
assert book.testzip() is None
for part in book.namelist():
    xml.fromstring(book.read(part))
sheet = list(cells(book))
lines = list(csv.reader(io.StringIO(export("CSV").decode("utf-8-sig"))))
assert sheet == lines, [pair for pair in zip(sheet, lines) if pair[0] != pair[1]] or (len(sheet), len(lines))
# Title, period, headings, the unit, and the total, from the first day to the last.
assert len(sheet) >= 6 and any(row[2:3] == ["Phường Trường Vinh"] for row in sheet), sheet
assert sheet[-1][0] == "Tổng số", sheet[-1]
assert sheet[-1][-2:] == [day.strftime("%d/%m/%Y") for day in (begin, today)], sheet[-1]
print("workbook:", sheet[0][0], len(sheet), "rows, as in the CSV")
