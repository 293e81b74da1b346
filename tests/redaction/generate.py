#!/usr/bin/env python3
"""Texts with personal numbers in known places, for measuring the output filter.

    python3 tests/redaction/generate.py [--seed N] > set.jsonl

One JSON object a line: {"text": ..., "spans": [{"type", "begin", "end"}], "kind": ...}; begin and
end are bytes of the text in UTF-8. Made from the rules of the numbers (sources below) and from
sentences of two languages; it knows nothing of the filter's code. What is not marked as a span is
there to be left alone: `kind` says what it is.

Sources: prefixes of mobile numbers as the ministry (MIIT) has given them out; GB 11643-1999 and
ISO 7064 MOD 11-2 for identity numbers, GB/T 2260 for regions; ISO/IEC 7812-1 and the ranges that
the card schemes publish; RFC 5321 and 5322 for addresses; ISO 13616 for IBAN; GS1 and ISBN for
goods and books.
"""

import argparse
import base64
import datetime
import hashlib
import json
import random
import string
import sys
import uuid

POSITIVES_PER_TYPE = 3200
NEGATIVES = 11200

# --- numbers -------------------------------------------------------------------------------------

MOBILE = [
    *range(130, 140), 145, 146, 147, 148, 149, 150, 151, 152, 153, *range(155, 160), 162, 165, 166,
    167, *range(170, 179), *range(180, 190), 190, 191, 192, 193, *range(195, 200),
]  # fmt: skip

# (prefixes, lengths)
ISSUERS = [
    (["62"], [16, 17, 18, 19]),  # UnionPay; most cards in China have 16 or 19 digits
    (["62"], [16, 19]),
    (["4"], [16, 19]),  # Visa
    ([str(p) for p in range(51, 56)], [16]),  # Mastercard
    ([str(p) for p in range(2221, 2721)], [16]),
    ([str(p) for p in range(3528, 3590)], [16, 17, 18, 19]),  # JCB
    (["6011", "65"] + [str(p) for p in range(644, 650)], [16, 19]),  # Discover
    (["36"], [16, 17, 18, 19]),  # Diners Club
]

REGIONS = """110101 110105 110108 120101 130102 130203 140105 150102 210102 210203 220102 230102
310101 310104 310115 320102 320505 330102 330203 340102 350102 350203 360102 370102 370202 410102
420102 420106 430102 440103 440106 440304 440305 450102 460105 500103 500112 510104 510105 520102
530102 540102 610102 610113 620102 622901 630102 640104 650102 652301 710000 810000 820000
830000""".split()


def digits(rng, n):
    return "".join(rng.choice(string.digits) for _ in range(n))


def luhn_digit(body):
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, char in enumerate(reversed(body)):
        value = int(char)
        if place % 2 == 0:
            value *= 2
            value = value - 9 if value > 9 else value
        total += value
    return str(-total % 10)


def card(rng):
    prefixes, lengths = rng.choice(ISSUERS)
    prefix = rng.choice(prefixes)
    body = prefix + digits(rng, rng.choice(lengths) - len(prefix) - 1)
    return body + luhn_digit(body)


def card_of_no_issuer(rng):
    body = rng.choice("179") + digits(rng, rng.choice([15, 18]) - 1)
    return body + luhn_digit(body)


def is_luhn(number):
    return luhn_digit(number[:-1]) == number[-1]


def check_character(body):
    """ISO 7064 MOD 11-2, by its recursive definition."""
    value = 0
    for char in body:
        value = (value + int(char)) * 2 % 11
    value = (12 - value) % 11
    return "X" if value == 10 else str(value)


def birth_date(rng):
    day = datetime.date(1930, 1, 1) + datetime.timedelta(days=rng.randrange(34000))  # to 2023
    return day.strftime("%Y%m%d")


def id_body(rng):
    return rng.choice(REGIONS) + birth_date(rng) + digits(rng, 3)


def identity(rng):
    body = id_body(rng)
    return body + check_character(body)


def mobile(rng):
    return str(rng.choice(MOBILE)) + digits(rng, 8)


# --- how they are written ------------------------------------------------------------------------

SPACES = [" ", "\u00a0", "\u2009", "\u202f", "\u3000"]
HYPHENS = ["-", "\u2010", "\u2011", "\u2013", "－"]


def separator(rng):
    roll = rng.random()
    if roll < 0.5:
        return " "
    if roll < 0.85:
        return "-"
    return rng.choice(SPACES + HYPHENS + ["."])


def grouped(rng, number, sizes):
    gap = separator(rng)
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    if at < len(number):
        parts.append(number[at:])
    return gap.join(parts)


def full_width(number):
    return "".join(chr(ord(c) - 0x21 + 0xFF01) if "!" <= c <= "~" else c for c in number)


def written_mobile(rng):
    number = mobile(rng)
    form = number
    if rng.random() < 0.35:
        form = grouped(rng, number, rng.choice([(3, 4, 4), (3, 4, 4), (3, 8), (7, 4)]))
    if rng.random() < 0.25:
        gap = rng.choice(["", " ", "-"])
        form = rng.choice(["+86", "+86", "0086", "86"]) + gap + form
    if rng.random() < 0.1:
        form = full_width(form)
    return form


def written_card(rng, number):
    form = number
    if rng.random() < 0.45:
        form = grouped(rng, number, (4, 4, 4, 4))
    elif len(number) == 19 and rng.random() < 0.2:
        form = grouped(rng, number, (6, 13))
    if rng.random() < 0.1:
        form = full_width(form)
    return form


def written_identity(rng):
    form = identity(rng)
    if rng.random() < 0.15:
        form = grouped(rng, form, (6, 8, 4))
    if rng.random() < 0.3:
        form = form.lower()
    if rng.random() < 0.1:
        form = full_width(form)
    return form


NAMES = """wang.li zhangwei liu_yang chenjing zhao-lei sunny hr info service li.na88 j.smith
mary.jones o'neill support sales xu2008 admin guo_x a.b.c noreply+bounce first.last tom99""".split()
DOMAINS = """example.com example.org mail.example.net qq.com 163.com 126.com sina.com.cn
pku.edu.cn corp.example.co.uk hospital.example.cn bank-of.example.de gov.cn sub.a-b.example.io
xn--fiqs8s.example.com foxmail.com outlook.example""".split()


def written_email(rng):
    local = rng.choice(NAMES)
    roll = rng.random()
    if roll < 0.2:
        local = mobile(rng)  # as many do with a mail account
    elif roll < 0.5:
        local += digits(rng, rng.randrange(1, 5))
    address = local + "@" + rng.choice(DOMAINS)
    roll = rng.random()
    if roll < 0.1:
        address = address.upper()
    elif roll < 0.15:
        address = full_width(address)
    return address


# --- sentences; {} is the place ------------------------------------------------------------------

ANY = [
    "请记录：{}，谢谢。", "她报出了{}这个号。", "系统里登记的是{}，请核对", "「{}」", "{}", "如下：{}；完毕",
    "备注={}；来源=前台", '{{"value": "{}"}}', "The value is {}.", "Please note {} for later, thanks.",
    "He wrote “{}” on a slip.", "<td>{}</td>", "* {} *", "- {}", "It was {}, wasn't it?", "({})",
]  # fmt: skip

SENTENCES = {
    "phone": [
        "请拨打{}联系我们。", "我的手机号是{}。", "手机：{}", "联系电话：{}（王先生）", "有事打{}找我", "微信同号{}，欢迎添加",
        "收件人张三，{}，北京市朝阳区", "电话:{}/分机8001", "Tel: {}", "Call me at {} after six.",
        "My mobile number is {}, text me.", "phone={}", "You can reach Dr. Li on {}.", "Mobile {} (work)",
        "病人家属电话{}已登记", "短信已发送至{}。", "1. {}", "contact:{};", "WhatsApp {}!",
        '{{"name": "Li", "phone": "{}"}}',
    ],
    "bank_card": [
        "银行卡号：{}", "请把钱转到{}，户名李四。", "工行卡{}已挂失", "信用卡{}本月账单已出", "账号 {} 开户行：建设银行",
        "Card number: {}", "I paid with {} yesterday.", "My Visa is {}, valid thru 09/27.",
        "Charge it to {}, please.", "debit card {} was declined", "卡号{}，有效期09/27", "付款卡：{}。",
        "card={}&exp=0927", "PAN: {}", "尾号不对，完整卡号是{}！",
    ],
    "id_card": [
        "身份证号：{}", "身份证{}已核验。", "患者王某，证件号{}，男", "公民身份号码 {}", "ID number: {}",
        "Her Chinese ID is {}.", "identity card {} was scanned", "请提供{}的复印件", "实名认证：{}，通过",
        "ID card no. {}, issued in Shanghai", "idcard={}", "居民身份证（{}）",
    ],
    "email": [
        "邮箱：{}", "请发送到{}，谢谢", "联系邮箱是{}。", "E-mail: {}", "Write to {} for details.",
        "mailto:{}", "From: Wang Li <{}>", "cc {}; bcc nobody", "my address is {}, not the old one",
        "抄送{}和财务部", "'{}'", "contact={}", "账号{}已激活",
    ],
}  # fmt: skip

CARD_CONTEXT = [
    "银行卡号：{}", "卡号{}", "信用卡 {}", "Card number: {}", "my debit card is {}", "储蓄卡：{}，已绑定",
]  # fmt: skip


# --- what is to be left alone --------------------------------------------------------------------


def labelled_order(rng):
    """A number of any length that its label names as an order's, a parcel's, an invoice's."""
    n = rng.choice([11, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 28])
    number = digits(rng, n)
    if n == 11:
        number = "1" + rng.choice("3456789") + number[2:]
    elif 16 <= n <= 19 and rng.random() < 0.5:
        number = rng.choice(["62", "4", "51"]) + number[2:]
    label = rng.choice(
        ["订单号：{}", "订单编号 {}", "运单号:{}", "快递单号{}", "流水号：{}", "交易单号 {}", "发票号码：{}", "Order #{}",
         "order number {}", "Tracking number: {}", "invoice no. {}", "transaction {}",
         "Serial: {}", "您的订单{}已发货", "ticket {} closed"]
    )  # fmt: skip
    return label.format(number)


def bare_number(rng):
    """No label. What is a number of a type by its rules is not made."""
    while True:
        n = rng.choice([6, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 25, 32])
        number = digits(rng, n)
        if 16 <= n <= 19 and is_luhn(number):
            continue
        return rng.choice(["编号{}", "{}", "No. {} is next", "{} units", "共{}条", "第{}号"]).format(number)


def timestamp(rng):
    moment = rng.randrange(1_000_000_000, 1_999_999_999)
    when = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    return rng.choice(
        [f"ts={moment}", f"{moment}{rng.randrange(1000):03}", f"at {moment}{rng.randrange(10**6):06} us",
         f"{moment}{rng.randrange(10**9):09}ns", when.strftime("%Y-%m-%d %H:%M:%S"),
         when.strftime("%Y%m%d%H%M%S"), when.strftime("%Y%m%dT%H%M%SZ"),
         when.strftime("%Y-%m-%dT%H:%M:%S.%f+08:00"), when.strftime("%Y年%m月%d日%H时%M分"),
         when.strftime("%d.%m.%Y %H:%M"), f"timestamp {moment}.{rng.randrange(10**6):06}"]
    )  # fmt: skip


def hash_value(rng):
    data = digits(rng, 20).encode()
    return rng.choice(
        ["md5 " + hashlib.md5(data).hexdigest(), "sha1: " + hashlib.sha1(data).hexdigest(),
         "sha256:" + hashlib.sha256(data).hexdigest(), hashlib.sha256(data).hexdigest().upper(),
         "commit " + hashlib.sha1(data).hexdigest()[:12], "0x" + hashlib.md5(data).hexdigest()[:16],
         base64.b64encode(hashlib.sha256(data).digest()).decode(),
         str(uuid.UUID(bytes=hashlib.md5(data).digest())),
         ":".join(hashlib.md5(data).hexdigest()[i : i + 2] for i in range(0, 12, 2))]
    )  # fmt: skip


IBAN_SHAPES = {
    "DE": "18n", "FR": "10n11c2n", "GB": "4a14n", "NL": "4a10n", "AT": "16n", "BE": "12n",
    "DK": "14n", "FI": "14n", "ES": "20n", "IT": "1a10n12c", "PL": "24n", "CH": "5n12c",
    "NO": "11n", "SE": "20n", "PT": "21n", "LT": "16n", "EE": "16n", "CZ": "20n",
}  # fmt: skip


def iban(rng):
    country, shape = rng.choice(sorted(IBAN_SHAPES.items()))
    body, count = "", ""
    for char in shape:
        if char.isdigit():
            count += char
            continue
        pool = {"n": string.digits, "a": string.ascii_uppercase,
                "c": string.digits + string.ascii_uppercase}[char]  # fmt: skip
        body += "".join(rng.choice(pool) for _ in range(int(count)))
        count = ""
    as_number = "".join(str(int(c, 36)) for c in body + country + "00")
    number = f"{country}{98 - int(as_number) % 97:02}{body}"
    if rng.random() < 0.6:
        number = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    return rng.choice(["IBAN: {}", "{}", "Bitte auf {} überweisen", "汇款至{}"]).format(number)


def url(rng):
    number = digits(rng, rng.choice([8, 11, 13, 16, 18, 19]))
    if len(number) == 11:
        number = "1" + rng.choice("3456789") + number[2:]
    return rng.choice(
        ["https://example.com/item/{}", "http://news.example.cn/a/{}.html", "https://v.example.com/?id={}",
         "见https://example.com/p/{}?from=app。", "https://example.com/{}/edit",
         "https://shop.example.com/order/{}#top"]
    ).format(number)  # fmt: skip


def other_number(rng):
    return rng.choice(
        [
            lambda: f"0.{digits(rng, rng.choice([11, 16, 17, 18]))}",
            lambda: f"{rng.randrange(1, 100)}.{digits(rng, rng.choice([11, 15, 16]))}",
            lambda: f"版本 {rng.randrange(20)}.{rng.randrange(20)}.{rng.randrange(3000)}",
            lambda: ".".join(str(rng.randrange(100, 256)) for _ in range(4)),
            lambda: f"{rng.randrange(100, 256)}.{rng.randrange(100, 256)}.1.1:8080",
            lambda: f"坐标 {rng.uniform(70, 130):.12f}, {rng.uniform(20, 50):.12f}",
            lambda: f"1-{rng.randrange(200, 1000)}-{rng.randrange(200, 1000)}-{digits(rng, 4)}",
            lambda: f"010-{digits(rng, 8)}",
            lambda: f"0755 {digits(rng, 8)}",
            lambda: f"400-{digits(rng, 3)}-{digits(rng, 4)}",
            lambda: f"ISBN 978-7-{digits(rng, 3)}-{digits(rng, 5)}-{digits(rng, 1)}",
            lambda: f"条形码69{digits(rng, 11)}",
            lambda: f"IMEI 86{digits(rng, 13)}",
            lambda: f"SF{digits(rng, 13)}",
            lambda: f"{rng.randrange(10**10, 2 * 10**10)} bytes",
            lambda: f"营收{rng.randrange(13, 20)}{digits(rng, 9)}元",
            lambda: f"¥{rng.randrange(10**10, 2 * 10**10)}",
            lambda: f"{rng.randrange(10**9, 10**12):,}",
            lambda: f"{rng.randrange(100, 200)} {rng.randrange(10, 100)} {rng.randrange(10, 100)}",
            lambda: f"{rng.randrange(1990, 2030)}-{rng.randrange(1990, 2030)}年",
            lambda: f"房间{digits(rng, 4)}，{rng.randrange(1, 30)}楼",
            lambda: f"QQ{digits(rng, 9)}",
            lambda: f"{mobile(rng)[:3]}****{digits(rng, 4)}",
            lambda: f"mmexport{rng.randrange(10**12, 2 * 10**12)}.jpg",
            lambda: f"IMG_{rng.randrange(20200101, 20261231)}_{digits(rng, 6)}",
        ]
    )()


def near_miss(rng):
    """Off by a little: one digit too many or too few, a wrong check character."""
    kind = rng.randrange(6)
    if kind == 0:
        body = "12" + digits(rng, 9)  # no such mobile prefix
    elif kind == 1:
        body = mobile(rng) + digits(rng, 1)
    elif kind == 2:
        body = mobile(rng)[:-1]
    elif kind == 3:
        number = card(rng)
        body = number[:-1] + str((int(number[-1]) + rng.randrange(1, 10)) % 10)
    elif kind == 4:
        number = identity(rng)
        wrong = [c for c in "0123456789" if c != number[-1]]
        body = number[:-1] + rng.choice(wrong)
        if is_luhn(body):
            return near_miss(rng)
    else:
        body = digits(rng, rng.choice([20, 21])) if rng.random() < 0.5 else "9" + card(rng)[:14]
    return rng.choice(ANY).format(body)


AT_SIGNS = [
    "@home", "user@localhost", "icon@2x.png", "logo@3x.webp", "npm i lodash@4.17.21", "a @ b.cn", "@张三 你好",
    "price@10.5", "meet @ 10:30", "@media (max-width: 600px)", "@Override public void run()", "git show HEAD@{1}",
    "foo@bar", "5 apples @ 3.50", "A@B", "@example.com",
]  # fmt: skip

PROSE = [
    "今天天气很好，我们去公园散步，晚上七点回家吃饭。", "本次会议讨论了第3季度的预算，共有12项议题。", "他跑了5公里，用时27分30秒。",
    "The meeting on 14 March 2024 had 23 people and lasted 90 minutes.", "Chapter 11: what 1984 got right",
    "In 2008 the company earned 1,234,567.89 dollars.", "体温36.8℃，血压120/80，心率72次/分。",
    "He ate 3.5 slices; the others shared 12.", "第十三届全国人民代表大会第1次会议", "温度从-5度升到15度",
    "The ratio is 16:9, at 1920x1080 and 60 Hz.", "房价约每平方米45000元，面积89.5平方米",
]  # fmt: skip

NEGATIVE_KINDS = {
    "order": labelled_order,
    "bare": bare_number,
    "timestamp": timestamp,
    "hash": hash_value,
    "iban": iban,
    "url": url,
    "other": other_number,
    "near": near_miss,
    "at": lambda rng: rng.choice(AT_SIGNS),
    "prose": lambda rng: rng.choice(PROSE),
}


# --- the set -------------------------------------------------------------------------------------


def positive(rng, kind):
    template = rng.choice(SENTENCES[kind] if rng.random() < 0.75 else ANY)
    if kind == "phone":
        value = written_mobile(rng)
    elif kind == "id_card":
        value = written_identity(rng)
    elif kind == "email":
        value = written_email(rng)
    elif rng.random() < 0.15:
        value = written_card(rng, card_of_no_issuer(rng))
        template = rng.choice(CARD_CONTEXT)
    else:
        value = written_card(rng, card(rng))
    before, after = template.replace("{{", "\0").replace("}}", "\1").split("{}")
    before, after = (part.replace("\0", "{").replace("\1", "}") for part in (before, after))
    begin = len(before.encode())
    span = {"type": kind, "begin": begin, "end": begin + len(value.encode())}
    return {"text": before + value + after, "spans": [span], "kind": kind}


def join(rng, first, second):
    """Two texts in one line, as paragraphs have them."""
    glue = rng.choice([" ", "。", "; ", "\t", "，"])
    shift = len((first["text"] + glue).encode())
    moved = [{**s, "begin": s["begin"] + shift, "end": s["end"] + shift} for s in second["spans"]]
    return {"text": first["text"] + glue + second["text"], "spans": first["spans"] + moved,
            "kind": first["kind"]}  # fmt: skip


def make(seed):
    rng = random.Random(seed)
    texts = []
    for kind in SENTENCES:
        for _ in range(POSITIVES_PER_TYPE):
            text = positive(rng, kind)
            if rng.random() < 0.3:
                prose = {"text": rng.choice(PROSE), "spans": [], "kind": kind}
                text = join(rng, prose, text) if rng.random() < 0.5 else join(rng, text, prose)
            texts.append(text)
    kinds = sorted(NEGATIVE_KINDS)
    for i in range(NEGATIVES):
        kind = kinds[i % len(kinds)]
        text = {"text": NEGATIVE_KINDS[kind](rng), "spans": [], "kind": kind}
        if rng.random() < 0.3:
            text = join(rng, {"text": rng.choice(PROSE), "spans": [], "kind": kind}, text)
        texts.append(text)
    rng.shuffle(texts)
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    for text in make(parser.parse_args().seed):
        json.dump(text, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
