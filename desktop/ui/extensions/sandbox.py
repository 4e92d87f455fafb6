"""A web view that shows the files of one extension and reaches nothing else.

Files come through a scheme of our own, `cove-extension://NAME/path`, so that no file URL exists for
the page. Every other request, navigation, window, download and permission is refused.
"""

from __future__ import annotations

import mimetypes
import os
from typing import Any

from PySide6.QtCore import QBuffer, QByteArray, QCoreApplication, QIODevice, QObject, QUrl
from PySide6.QtWebEngineCore import (
    QWebEngineDownloadRequest,
    QWebEnginePage,
    QWebEnginePermission,
    QWebEngineProfile,
    QWebEngineSettings,
    QWebEngineUrlRequestInfo,
    QWebEngineUrlRequestInterceptor,
    QWebEngineUrlRequestJob,
    QWebEngineUrlScheme,
    QWebEngineUrlSchemeHandler,
)
from PySide6.QtWebEngineWidgets import QWebEngineView

from desktop.extensions.manifest import Extension, inside

SCHEME = b"cove-extension"
_LIMIT = 32 * 1024 * 1024
_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)


def register_scheme() -> None:
    """Tell Chromium about the scheme; has to happen before the first profile is made."""
    if QWebEngineUrlScheme.schemeByName(QByteArray(SCHEME)).name().data() == SCHEME:
        return
    scheme = QWebEngineUrlScheme(QByteArray(SCHEME))
    scheme.setSyntax(QWebEngineUrlScheme.Syntax.Host)
    scheme.setFlags(QWebEngineUrlScheme.Flag.SecureScheme)
    QWebEngineUrlScheme.registerScheme(scheme)


class _Files(QWebEngineUrlSchemeHandler):
    """Answers with files below the extension's folder."""

    def __init__(self, extension: Extension, parent: QObject) -> None:
        super().__init__(parent)
        self._extension = extension

    def requestStarted(self, job: QWebEngineUrlRequestJob) -> None:
        error = QWebEngineUrlRequestJob.Error
        url = job.requestUrl()
        if url.host() != self._extension.name or job.requestMethod().data() != b"GET":
            job.fail(error.RequestDenied)
            return
        relative = url.path(QUrl.ComponentFormattingOption.FullyDecoded).lstrip("/")
        file = inside(self._extension.folder, relative)
        if file is None or not file.is_file():
            job.fail(error.UrlNotFound)
            return
        try:
            if file.stat().st_size > _LIMIT:
                job.fail(error.RequestFailed)
                return
            content = file.read_bytes()
        except OSError:
            job.fail(error.RequestFailed)
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        # A multi-map: PySide wants a list of values where its stub says one value.
        policy: Any = [QByteArray(_POLICY)]
        job.setAdditionalResponseHeaders({QByteArray(b"Content-Security-Policy"): policy})
        body = QBuffer(job)
        body.setData(QByteArray(content))
        body.open(QIODevice.OpenModeFlag.ReadOnly)
        job.reply(QByteArray(kind.encode()), body)


class _Guard(QWebEngineUrlRequestInterceptor):
    """Blocks every request that leaves the folder; remembers them for the page's header."""

    def __init__(self, host: str, parent: QObject) -> None:
        super().__init__(parent)
        self._host = host
        self.blocked: list[str] = []

    def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
        url = info.requestUrl()
        own = url.scheme() == SCHEME.decode() and url.host() == self._host
        if not own and url.scheme() not in ("data", "blob"):
            info.block(True)
            if len(self.blocked) < 100:
                self.blocked.append(url.toDisplayString())


class _Page(QWebEnginePage):
    def __init__(self, profile: QWebEngineProfile, host: str, parent: QObject) -> None:
        super().__init__(profile, parent)
        self._host = host
        self.permissionRequested.connect(self._deny)

    def _deny(self, permission: QWebEnginePermission) -> None:
        permission.deny()

    def acceptNavigationRequest(
        self, url: QUrl | str, kind: QWebEnginePage.NavigationType, isMainFrame: bool
    ) -> bool:
        target = QUrl(url)
        return target.scheme() == SCHEME.decode() and target.host() == self._host

    def createWindow(self, type: QWebEnginePage.WebWindowType) -> QWebEnginePage | None:  # type: ignore[override]
        return None


class Sandbox(QWebEngineView):
    """The view of one extension."""

    def __init__(self, extension: Extension) -> None:
        super().__init__()
        self.extension = extension
        # The application's child: the profile has to outlive its page, see `shut`.
        self._profile = QWebEngineProfile(QCoreApplication.instance())
        self._profile.setDownloadPath(os.devnull)
        self._profile.setHttpCacheType(QWebEngineProfile.HttpCacheType.NoCache)
        self._profile.downloadRequested.connect(self._refuse_download)
        self.guard = _Guard(extension.name, self._profile)
        self._profile.setUrlRequestInterceptor(self.guard)
        self._files = _Files(extension, self._profile)
        self._profile.installUrlSchemeHandler(QByteArray(SCHEME), self._files)
        self._page = _Page(self._profile, extension.name, self)
        self.setPage(self._page)
        self._lock(self._page.settings())
        self.setAccessibleName(extension.title)
        relative = extension.page.relative_to(extension.folder.resolve()).as_posix()
        self.load(QUrl(f"{SCHEME.decode()}://{extension.name}/{relative}"))

    def _lock(self, settings: QWebEngineSettings) -> None:
        name = QWebEngineSettings.WebAttribute
        for off in (
            name.LocalContentCanAccessRemoteUrls,
            name.LocalContentCanAccessFileUrls,
            name.JavascriptCanOpenWindows,
            name.JavascriptCanAccessClipboard,
            name.JavascriptCanPaste,
            name.PluginsEnabled,
            name.HyperlinkAuditingEnabled,
            name.FullScreenSupportEnabled,
            name.ScreenCaptureEnabled,
            name.DnsPrefetchEnabled,
            name.NavigateOnDropEnabled,
            name.AllowGeolocationOnInsecureOrigins,
        ):
            settings.setAttribute(off, False)

    def _refuse_download(self, request: QWebEngineDownloadRequest) -> None:
        request.cancel()

    def shut(self) -> None:
        """Let the page go, then its profile, in the order that the engine asks for."""
        profile, page = self._profile, self._page
        page.destroyed.connect(profile.deleteLater)
        page.deleteLater()
        self.deleteLater()
