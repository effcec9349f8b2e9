"""QR codes as SVG for a page: plain shapes, so that no style or script comes along."""

import io

import qrcode
import qrcode.image.svg


def svg(text: str) -> str:
    picture = io.BytesIO()
    qrcode.make(text, image_factory=qrcode.image.svg.SvgPathImage, box_size=12).save(picture)
    return picture.getvalue().decode().partition("?>")[2]
