"""A proxy over Fusion that draws fields, menus, scroll bars, check boxes and tooltips our way."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QKeySequence, QPainter, QPalette
from PySide6.QtWidgets import (
    QLineEdit,
    QMenu,
    QProxyStyle,
    QScrollBar,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QStyleOptionComplex,
    QStyleOptionMenuItem,
    QStyleOptionSlider,
    QWidget,
)

from desktop.ui.theme import icons
from desktop.ui.theme.current import colors, qcolor
from desktop.ui.theme.fonts import font
from desktop.ui.theme.paint import LEFT, RIGHT, line, rounded, text, text_width

_PE = QStyle.PrimitiveElement
_CE = QStyle.ControlElement
_CC = QStyle.ComplexControl
_SC = QStyle.SubControl
_PM = QStyle.PixelMetric
_SH = QStyle.StyleHint
_State = QStyle.StateFlag

_SCROLL = 10
_MENU_ROW = 30
_METRICS = {
    _PM.PM_ScrollBarExtent: _SCROLL,
    _PM.PM_ScrollBarSliderMin: 32,
    # The bar lies over the content: rows keep their width when it comes.
    _PM.PM_ScrollView_ScrollBarOverlap: _SCROLL,
    _PM.PM_MenuHMargin: 6,
    _PM.PM_MenuVMargin: 6,
    _PM.PM_MenuPanelWidth: 0,
    _PM.PM_DefaultFrameWidth: 0,
    _PM.PM_SplitterWidth: 1,
    _PM.PM_IndicatorWidth: 16,
    _PM.PM_IndicatorHeight: 16,
    _PM.PM_ToolTipLabelFrameWidth: 6,
    _PM.PM_ButtonShiftHorizontal: 0,
    _PM.PM_ButtonShiftVertical: 0,
}


class Style(QProxyStyle):
    """The look of the controls that Qt itself paints."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    def polish(self, target: object) -> object:  # type: ignore[override]
        """Menus get round corners, which needs a window without a background."""
        if isinstance(target, QMenu):
            target.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
            target.setWindowFlag(Qt.WindowType.FramelessWindowHint)
            target.setWindowFlag(Qt.WindowType.NoDropShadowWindowHint)
            target.setFont(font(13))
        if isinstance(target, QScrollBar):
            target.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent, False)
        return super().polish(target)  # type: ignore[call-overload]

    def pixelMetric(
        self,
        metric: QStyle.PixelMetric,
        option: QStyleOption | None = None,
        widget: QWidget | None = None,
    ) -> int:
        found = _METRICS.get(metric)
        return found if found is not None else super().pixelMetric(metric, option, widget)

    def styleHint(
        self,
        hint: QStyle.StyleHint,
        option: QStyleOption | None = None,
        widget: QWidget | None = None,
        returnData: object = None,
    ) -> int:
        if hint is _SH.SH_ScrollBar_ContextMenu or hint is _SH.SH_ItemView_ShowDecorationSelected:
            return 0
        if hint in (_SH.SH_ToolTip_WakeUpDelay,):
            return 500
        return super().styleHint(hint, option, widget)

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        c = colors()
        rect = QRectF(option.rect)
        if element is _PE.PE_PanelLineEdit:
            if isinstance(widget, QLineEdit) and widget.hasFrame():
                _field(painter, rect, bool(option.state & _State.State_HasFocus), widget)
            return
        if element is _PE.PE_PanelMenu:
            rounded(painter, rect, 10, c.raised, c.line2)
            return
        if element is _PE.PE_FrameMenu or element is _PE.PE_PanelScrollAreaCorner:
            return
        if element is _PE.PE_FrameFocusRect:
            return
        if element is _PE.PE_PanelTipLabel:
            painter.fillRect(rect, qcolor(c.raised))
            painter.setPen(qcolor(c.line2))
            painter.drawRect(rect.adjusted(0, 0, -1, -1))
            return
        if element is _PE.PE_IndicatorCheckBox:
            _check_box(painter, rect, option)
            return
        super().drawPrimitive(element, option, painter, widget)

    def drawControl(
        self,
        element: QStyle.ControlElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        if element is _CE.CE_MenuItem and isinstance(option, QStyleOptionMenuItem):
            _menu_item(painter, option)
            return
        if element is _CE.CE_MenuEmptyArea:
            return
        if element is _CE.CE_Splitter:
            c = colors()
            r = option.rect
            line(painter, r.x(), r.y(), r.width(), r.height(), c.line)
            return
        if element is _CE.CE_CheckBoxLabel and isinstance(option, QStyleOptionButton):
            rect = QRectF(option.rect)
            text(painter, rect, option.text, colors().text)
            return
        super().drawControl(element, option, painter, widget)

    def drawComplexControl(
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        if control is _CC.CC_ScrollBar and isinstance(option, QStyleOptionSlider):
            self._scroll_bar(option, painter, widget)
            return
        super().drawComplexControl(control, option, painter, widget)

    def _scroll_bar(
        self, option: QStyleOptionSlider, painter: QPainter, widget: QWidget | None
    ) -> None:
        if option.maximum <= option.minimum:
            return
        handle = self.subControlRect(_CC.CC_ScrollBar, option, _SC.SC_ScrollBarSlider)
        rect = QRectF(handle).adjusted(2, 2, -2, -2)
        over = bool(option.state & _State.State_MouseOver) or bool(
            option.state & _State.State_Sunken
        )
        c = colors()
        rounded(painter, rect, min(rect.width(), rect.height()) / 2, c.off if over else c.line2)

    def subControlRect(
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        part: QStyle.SubControl,
        widget: QWidget | None = None,
    ) -> QRect:
        if control is _CC.CC_ScrollBar and isinstance(option, QStyleOptionSlider):
            return _scroll_part(option, part)
        return super().subControlRect(control, option, part, widget)  # type: ignore[arg-type]

    def sizeFromContents(
        self,
        kind: QStyle.ContentsType,
        option: QStyleOption,
        size: QSize,
        widget: QWidget | None = None,
    ) -> QSize:
        if kind is QStyle.ContentsType.CT_MenuItem and isinstance(option, QStyleOptionMenuItem):
            if option.menuItemType is QStyleOptionMenuItem.MenuItemType.Separator:
                return QSize(10, 9)
            label, _, keys = option.text.partition("\t")
            width = text_width(label) + (text_width(_keys(keys), 12) + 28 if keys else 0)
            return QSize(int(width) + 64, _MENU_ROW)
        return super().sizeFromContents(kind, option, size, widget)  # type: ignore[arg-type]

    def standardPalette(self) -> QPalette:
        from desktop.ui.theme.current import palette

        return palette(colors())


def _keys(keys: str) -> str:
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText) if keys else ""


def _field(painter: QPainter, rect: QRectF, focused: bool, widget: QLineEdit) -> None:
    c = colors()
    wrong = bool(widget.property("wrong"))
    stroke = c.err_dot if wrong else c.focus if focused else c.line2
    fill = c.window if focused else c.inset
    rounded(painter, rect, 7, fill, stroke, 2.0 if focused else 1.0)


def _check_box(painter: QPainter, rect: QRectF, option: QStyleOption) -> None:
    c = colors()
    on = bool(option.state & _State.State_On)
    if on:
        rounded(painter, rect, 4, c.accent)
        icons.draw(painter, "check", c.on, rect.x() + 2, rect.y() + 2, 12)
    else:
        rounded(painter, rect, 4, c.inset, c.off, 1.2)
    if option.state & _State.State_HasFocus and option.state & _State.State_KeyboardFocusChange:
        rounded(painter, rect.adjusted(-2, -2, 2, 2), 6, "", c.focus, 2)


def _menu_item(painter: QPainter, option: QStyleOptionMenuItem) -> None:
    c = colors()
    rect = QRectF(option.rect)
    if option.menuItemType is QStyleOptionMenuItem.MenuItemType.Separator:
        line(painter, rect.x() + 10, rect.center().y(), rect.width() - 20, 1, c.line)
        return
    enabled = bool(option.state & _State.State_Enabled)
    chosen = bool(option.state & _State.State_Selected) and enabled
    label, _, keys = option.text.partition("\t")
    label = label.replace("&", "")
    danger = label.startswith(("Remove", "Delete"))
    color = c.on if chosen else (c.err if danger else c.text) if enabled else c.off
    if chosen:
        rounded(painter, rect, 6, c.accent)
    if not option.icon.isNull():
        pixmap = option.icon.pixmap(16, 16)
        if chosen:
            tinted = QPainter(pixmap)
            tinted.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
            tinted.fillRect(pixmap.rect(), qcolor(c.on))
            tinted.end()
        painter.drawPixmap(int(rect.x()) + 10, int(rect.center().y()) - 7, pixmap)
    elif option.checked:
        icons.draw(painter, "check", color, rect.x() + 10, rect.center().y() - 7, 14)
    text(painter, rect.adjusted(36, 0, -10, 0), label, color, align=LEFT)
    if keys:
        hint = c.on if chosen else c.text3
        text(painter, rect.adjusted(36, 0, -12, 0), _keys(keys), hint, size=12, align=RIGHT)


def _scroll_part(option: QStyleOptionSlider, part: QStyle.SubControl) -> QRect:
    """A scroll bar without arrows: the handle on a groove of the whole length."""
    rect = option.rect
    if part is _SC.SC_ScrollBarGroove:
        return rect
    upright = option.orientation is Qt.Orientation.Vertical
    length = rect.height() if upright else rect.width()
    span = option.maximum - option.minimum
    if span <= 0:
        handle = length
    else:
        handle = max(32, int(length * option.pageStep / max(1, span + option.pageStep)))
    handle = min(handle, length)
    at = 0
    if span > 0:
        at = QStyle.sliderPositionFromValue(
            option.minimum, option.maximum, option.sliderPosition, length - handle
        )
    if part is _SC.SC_ScrollBarSlider:
        start, extent = at, handle
    elif part is _SC.SC_ScrollBarSubPage:
        start, extent = 0, at
    elif part is _SC.SC_ScrollBarAddPage:
        start, extent = at + handle, length - at - handle
    else:
        return QRect()
    if upright:
        return QRect(rect.x(), rect.y() + start, rect.width(), extent)
    return QRect(rect.x() + start, rect.y(), extent, rect.height())
