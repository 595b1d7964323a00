"Decoding and the cache: formats, and what a killed or crowded run leaves behind."
import gzip, hashlib, http.server, multiprocessing, os, pickle, shutil, struct, tarfile, tempfile, threading, time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from layouts import anime, celeba, dot, fails, hw4, iclevr
from PIL import Image, ImageOps
from torchvision.datasets import CIFAR10, MNIST, CelebA, FakeData, ImageFolder
from torchvision.transforms import ToTensor
from torchvision.transforms.functional import resize

from dlcv_gan.data.pictures import (Pictures, cache_pictures, from_torchvision, open_pictures, to_float, to_uint8,
                                    torchvision_pictures)
from dlcv_gan.data.readers import ANIME_TAGS, Listing, read_folder


def test_scenes_are_squeezed_and_portraits_cropped(tmp_path):
    wide = np.zeros((24, 32, 3), np.uint8); wide[:, :4] = 255 # a white stripe at the side, which a crop cuts away
    iclevr(tmp_path/'scenes', {'a_0.png': ['red cube']})
    Image.fromarray(wide).save(tmp_path/'scenes'/'iclevr'/'a_0.png')
    (tmp_path/'plain').mkdir(); Image.fromarray(wide).save(tmp_path/'plain'/'a_0.png')
    for folder, crop, white in (('scenes', None, True), ('scenes', 'centre', False), ('plain', None, False),
                                ('plain', 'resize', True)):
        image = open_pictures(tmp_path/folder, 'all', 8, crop=crop, progress=False).images[0]
        assert (image[:, 0].min() > 200) == white, (folder, crop)


# --- pixels

def test_every_byte_survives_the_round_trip():
    every = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    x = to_float(every)
    assert x.shape == (1, 3, 16, 16) and x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)
    assert x.min() == -1 and x.max() == 1 and torch.equal(to_uint8(x), every)
    assert to_uint8(torch.tensor([-9., 9.]).view(1, 2, 1, 1)).flatten().tolist() == [0, 255]
    fails(to_float, x, says=['uint8'])


def pixel(path, n=8, **kwargs):
    pictures = cache_pictures(Listing([path], root=Path(path).parent), n, progress=False, **kwargs)
    return pictures.images[0]


@pytest.mark.parametrize('mode,colour,want', [
    ('L', 100, (100,)*3), ('1', 1, (255,)*3), ('LA', (0, 0), (255,)*3), ('RGBA', (255, 0, 0, 0), (255,)*3),
    ('RGBA', (200, 0, 0, 255), (200, 0, 0)),
    ('RGBA', (0, 0, 0, 128), (127,)*3), ('P', 0, None), ('I;16', 65535, (255,)*3), ('I;16', 257*77, (77,)*3),
    ('I', 257*77, (77,)*3)])
def test_modes(tmp_path, mode, colour, want):
    if mode == 'P':
        want = (10, 200, 30)
        picture = Image.new('RGB', (8, 8), want).convert('P', palette=Image.Palette.ADAPTIVE)
    else: picture = Image.new(mode, (8, 8), colour)
    picture.save(tmp_path/('a.tif' if mode == 'I' else 'a.png'))
    got = pixel(tmp_path/('a.tif' if mode == 'I' else 'a.png'))
    assert got.shape == (8, 8, 3) and np.abs(got[4, 4].astype(int) - want).max() <= 1


def test_cmyk_and_transparent_palette(tmp_path):
    Image.new('CMYK', (16, 16), (0, 255, 255, 0)).save(tmp_path/'c.jpg', quality=100)
    red = pixel(tmp_path/'c.jpg')[4, 4].astype(int)
    assert red[0] > 200 and red[1] < 60 and red[2] < 60
    Image.new('P', (8, 8), 0).save(tmp_path/'t.png', transparency=0)
    assert pixel(tmp_path/'t.png')[4, 4].tolist() == [255, 255, 255]
    Image.new('F', (8, 8), .5).save(tmp_path/'f.tif'); fails(pixel, tmp_path/'f.tif', says=['f.tif', 'floating-point'])


def test_orientation_is_applied(tmp_path):
    picture = Image.new('RGB', (16, 16), 'black'); picture.paste('white', (0, 0, 16, 8))     # white above
    exif = Image.Exif(); exif[0x0112] = 3                                                 # taken upside down
    picture.save(tmp_path/'e.jpg', exif=exif, quality=100)
    got = pixel(tmp_path/'e.jpg', 16)
    assert got[2].mean() < 20 and got[13].mean() > 235


def test_crop_and_odd_sizes(tmp_path):
    wide = Image.new('RGB', (31, 17), 'black'); wide.paste('white', (0, 0, 6, 17)); wide.save(tmp_path/'w.png')
    assert pixel(tmp_path/'w.png', crop='resize')[:, 0].mean() > 200
    assert pixel(tmp_path/'w.png', crop='centre')[:, 0].mean() < 20
    Image.new('RGB', (1, 1), 'red').save(tmp_path/'one.png'); assert pixel(tmp_path/'one.png').shape == (8, 8, 3)
    fails(pixel, tmp_path/'w.png', crop='center', says=["'center'", "'centre'"])
    fails(pixel, tmp_path/'w.png', 0, says=['size'])


def test_resize_agrees_with_torchvision(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    noise.save(tmp_path/'n.png')
    assert np.array_equal(pixel(tmp_path/'n.png', 16, crop='resize'), np.asarray(resize(noise, [16, 16])))


# --- the cache

@pytest.fixture
def folder(tmp_path):
    for i in range(6): dot(tmp_path/f'in/{i}.png', 10*i)
    return tmp_path/'in'


def test_cache_is_used_and_is_what_decoding_gives(folder):
    first = cache_pictures(read_folder(folder, 'all'), 8, progress=False)
    home = folder/'.dlcv_gan_cache'
    stamp = {f: f.stat().st_mtime_ns for f in home.rglob('*.npy')}
    again = cache_pictures(read_folder(folder, 'all'), 8, progress=False)
    assert {f: f.stat().st_mtime_ns for f in home.rglob('*.npy')} == stamp and len(stamp) == 1
    assert isinstance(again.images, np.memmap) and np.array_equal(first.images, again.images)
    assert not again.images.flags.writeable
    assert [int(p[0, 0, 0]) for p in again.images] == [0, 10, 20, 30, 40, 50]


def test_changed_picture_size_or_crop_makes_a_new_cache(folder):
    listing = read_folder(folder, 'all')
    for size, crop in [(8, 'centre'), (4, 'centre'), (8, 'resize')]: cache_pictures(listing, size, crop, progress=False)
    assert len(list((folder/'.dlcv_gan_cache').rglob('*.npy'))) == 3
    dot(folder/'3.png', 99); os.utime(folder/'3.png', ns=(1, 1))
    assert cache_pictures(read_folder(folder, 'all'), 8, progress=False).images[3, 0, 0, 0] == 99


def test_corrected_labels_need_no_new_cache(tmp_path):
    hw4(tmp_path, ['a.png,0,1', 'b.png,1,0']); open_pictures(tmp_path, size=8, progress=False)
    hw4(tmp_path, ['a.png,1,1', 'b.png,1,0'], write=[])
    assert open_pictures(tmp_path, size=8, progress=False).labels.tolist() == [[1, 1], [1, 0]]
    assert len(list((tmp_path/'.dlcv_gan_cache').rglob('*.npy'))) == 1


def test_a_moved_data_set_keeps_its_cache(folder, tmp_path):
    cache_pictures(read_folder(folder, 'all'), 8, progress=False)
    moved = folder.rename(tmp_path/'elsewhere')
    cache_pictures(read_folder(moved, 'all'), 8, progress=False)
    assert len(list((moved/'.dlcv_gan_cache').rglob('*.npy'))) == 1


@pytest.mark.parametrize('content', [b'', b'not a picture', None])
def test_broken_picture_is_named_then_skipped_then_remembered(folder, content):
    data = (folder/'2.png').read_bytes()
    (folder/'2.png').write_bytes(data[:len(data)//2] if content is None else content)
    listing = read_folder(folder, 'all')
    listing.labels, listing.attributes = np.arange(6, dtype=np.uint8)[:, None], ['i']
    fails(cache_pictures, listing, 8, progress=False, says=['2.png', 'cannot be decoded', 'skip'])
    assert not list((folder/'.dlcv_gan_cache').glob('*.building'))
    for _ in range(2):
        with pytest.warns(UserWarning, match='1 skipped'):
            pictures = cache_pictures(listing, 8, on_bad='skip', progress=False)
        assert pictures.names == ['0.png', '1.png', '3.png', '4.png',
                                  '5.png'] and pictures.labels[:, 0].tolist() == [0, 1, 3, 4, 5]
        assert [int(p[0, 0, 0]) for p in pictures.images] == [0, 10, 30, 40, 50] and '2.png' in pictures.skipped[0]
    # strict again, although the skipping cache is there
    fails(cache_pictures, listing, 8, progress=False, says=['2.png'])


def test_all_broken(tmp_path):
    (tmp_path/'a.png').write_bytes(b'')
    fails(cache_pictures, read_folder(tmp_path, 'all'), 8, on_bad='skip', progress=False, says=['a.png', '1 pictures'])
    fails(cache_pictures, Listing([]), says=['no picture'])


def child(f, *args):
    "A process of its own, forked so that nothing has to be imported again."
    if 'fork' not in multiprocessing.get_all_start_methods(): pytest.skip('this system cannot fork')
    process = multiprocessing.get_context('fork').Process(target=f, args=args)
    process.start()
    return process


def build(folder, cache, size=64): cache_pictures(read_folder(folder, 'all'), size, cache=cache, progress=False)


def test_killed_build_leaves_no_cache_and_the_next_run_works(tmp_path):
    for i in range(400): dot(tmp_path/f'in/{i}.png', i%256)
    builder = None
    try:
        builder = child(build, tmp_path/'in', tmp_path/'c', 512) # seconds of work
        while not list((tmp_path/'c').glob('*.building/images.npy')): assert builder.is_alive(); time.sleep(.01)
    finally:
        if builder: builder.kill(); builder.join()
    assert [p.suffix for p in (tmp_path/'c').iterdir() if p.is_dir()] == ['.building']
    pictures = cache_pictures(read_folder(tmp_path/'in', 'all'), 512, cache=tmp_path/'c', progress=False)
    assert [int(p[0, 0, 0]) for p in pictures.images] == [i%256 for i in range(400)]
    assert not list((tmp_path/'c').glob('*.building'))


def test_ruin_of_the_same_cache_is_cleared(folder):
    build(folder, folder/'c')
    done, = (folder/'c').glob('*-64')
    done.rename(done.with_suffix('.building'))                          # a build that was killed before its last step
    (done.with_suffix('.building')/'images.npy').write_bytes(b'half')
    build(folder, folder/'c')
    assert [p.name for p in (folder/'c').iterdir() if p.is_dir()] == [done.name]


def test_damaged_cache_is_rebuilt(folder):
    want = cache_pictures(read_folder(folder, 'all'), 8, progress=False).images.copy()
    for name in ('images.npy', 'about.json'):
        file, = (folder/'.dlcv_gan_cache').rglob(name)
        file.write_bytes(file.read_bytes()[:50])
        assert np.array_equal(cache_pictures(read_folder(folder, 'all'), 8, progress=False).images, want)


def test_two_builders_share_one_build(tmp_path):
    for i in range(300): dot(tmp_path/f'in/{i}.png', i%256)
    builders = [child(build, tmp_path/'in', tmp_path/'c') for _ in range(3)]
    for b in builders: b.join()
    assert [b.exitcode for b in builders] == [0, 0, 0] and len(list((tmp_path/'c').rglob('images.npy'))) == 1
    pictures = cache_pictures(read_folder(tmp_path/'in', 'all'), 64, cache=tmp_path/'c', progress=False)
    assert [int(p[0, 0, 0]) for p in pictures.images] == [i%256 for i in range(300)]


def test_full_disk_names_the_bytes_and_leaves_nothing(folder):
    resource = pytest.importorskip('resource')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))      # a write past this fails as on a full disk
        fails(cache_pictures, read_folder(folder, 'all'), 256, progress=False, kind=OSError,
              says=[f'{6*256*256*3 + 4096:,} bytes', 'Make room'])
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [f for f in (folder/'.dlcv_gan_cache').iterdir() if f.is_dir()]
    # more than any disk: refused before the first picture
    need = f'{6*10**14*3 + 4096:,} bytes'
    fails(cache_pictures, read_folder(folder, 'all'), 10**7, progress=False, kind=OSError, says=[need])


def test_where_caches_go(folder, tmp_path, monkeypatch):
    listing = read_folder(folder, 'all')
    monkeypatch.setenv('DLCV_GAN_CACHE', str(tmp_path/'env')); cache_pictures(listing, 8, progress=False)
    assert list((tmp_path/'env').rglob('*.npy')) and not (folder/'.dlcv_gan_cache').exists()
    cache_pictures(listing, 8, cache=tmp_path/'asked', progress=False); assert list((tmp_path/'asked').rglob('*.npy'))
    monkeypatch.delenv('DLCV_GAN_CACHE'); monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'home'))
    (folder/'.dlcv_gan_cache').write_text('a file stands where the folder should go')
    cache_pictures(listing, 8, progress=False); assert list((tmp_path/'home/dlcv_gan').rglob('*.npy'))
    (tmp_path/'file').write_text('')
    fails(cache_pictures, listing, 8, cache=tmp_path/'file', progress=False, kind=OSError, says=['cache='])


# --- a cache never serves another file's pixels

ENDINGS = ['bmp', 'png', 'tif', 'ppm', 'tga']


def greys(folder, values, ending, stamp=1_000_000_000):
    "Pictures of equal names, lengths and times, which differ in their pixels alone."
    for i, v in enumerate(values):
        dot(folder/f'{i}.{ending}', v)
        if ending == 'png': # the same length whatever the pixels are
            data = (folder/f'{i}.png').read_bytes(); (folder/f'{i}.png').write_bytes(data + b'\0'*(120 - len(data)))
        os.utime(folder/f'{i}.{ending}', (stamp, stamp))
    return folder


def seen(*where, cache=None):
    return open_pictures(*where, 8, cache=cache, progress=False).images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize('sides', [('trainA', 'trainB'), ('train', 'test')])
def test_two_folders_of_equal_names_lengths_and_times(tmp_path, sides, ending):
    for side, values in zip(sides, ([10, 20], [30, 40])): greys(tmp_path/side, values, ending)
    stats = [[(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted((tmp_path/s).iterdir())] for s in sides]
    assert stats[0] == stats[1], 'the test is about files that only their content tells apart'
    for _ in range(2): assert [seen(tmp_path, s) for s in sides] == [[10, 20], [30, 40]]


@pytest.mark.parametrize('ending', ENDINGS)
def test_two_roots_that_share_a_cache(tmp_path, monkeypatch, ending):
    for root, values in (('a', [10, 20]), ('b', [30, 40])): greys(tmp_path/root, values, ending)
    monkeypatch.setenv('DLCV_GAN_CACHE', str(tmp_path/'c'))
    for _ in range(2): assert (seen(tmp_path/'a', 'all'), seen(tmp_path/'b', 'all')) == ([10, 20], [30, 40])
    greys(tmp_path/'a', [50, 20], ending)      # replaced in place: same name, length, time, and directory
    assert seen(tmp_path/'a', 'all') == [50, 20]
    greys(tmp_path/'a', [20, 50], ending)      # the same pictures, exchanged
    assert seen(tmp_path/'a', 'all') == [20, 50]


def test_the_same_bytes_elsewhere_share_a_cache_and_keep_their_names(tmp_path):
    for root in 'ab':
        greys(tmp_path/root, [10, 20], 'bmp'); (tmp_path/root/f'{root}.bmp').write_bytes(b'no picture')
        with pytest.warns(UserWarning, match=f'{root}.bmp'):
            p = cache_pictures(read_folder(tmp_path/root, 'all'), 8, cache=tmp_path/'c', on_bad='skip', progress=False)
        assert len(p) == 2 and f'{tmp_path/root/root}.bmp' in p.skipped[0]
    assert len(list((tmp_path/'c').rglob('*.npy'))) == 1


def test_what_could_not_be_decoded_is_tried_again(tmp_path, monkeypatch):
    "A disk that was away, or a limit that was too low, costs no picture for ever."
    greys(tmp_path/'in', [10, 20], 'bmp'); Image.new('RGB', (64, 64), 'white').save(tmp_path/'in/2.bmp')
    def opened():
        return cache_pictures(read_folder(tmp_path/'in', 'all'), 8, cache=tmp_path/'c', on_bad='skip', progress=False)
    with monkeypatch.context() as m:
        m.setattr(Image, 'MAX_IMAGE_PIXELS', 1000) # a user's setting: larger pictures are refused
        with pytest.warns(UserWarning, match='2.bmp'): assert len(opened()) == 2
    assert len(opened()) == 3 and opened().skipped == []


def test_a_picture_that_changes_between_two_reads_is_not_taken_for_the_first(tmp_path):
    from dlcv_gan.data import pictures as module
    greys(tmp_path, [10], 'bmp')
    digest = module._read_file(tmp_path/'0.bmp')[1]
    greys(tmp_path, [20], 'bmp')
    fails(module._decode, tmp_path/'0.bmp', digest, says=['changed'])


@pytest.mark.parametrize('how', ['gone', 'loop'])
def test_links_that_lead_nowhere_are_named_then_skipped(tmp_path, how):
    greys(tmp_path/'in', [10, 20], 'bmp')
    (tmp_path/'in/1.bmp').unlink()
    os.symlink(tmp_path/('nowhere.bmp' if how == 'gone' else 'in/1.bmp'), tmp_path/'in/1.bmp')
    fails(cache_pictures, read_folder(tmp_path/'in', 'all'), 8, progress=False, says=['1.bmp', "on_bad='skip'"])
    with pytest.warns(UserWarning, match='1 skipped'):
        p = open_pictures(tmp_path/'in', 'all', 8, on_bad='skip', progress=False)
    assert p.names == ['0.bmp'] and '1.bmp' in p.skipped[0]


def test_a_link_to_a_picture_is_that_picture(tmp_path):
    greys(tmp_path/'real', [10], 'bmp'); (tmp_path/'in').mkdir(); os.symlink(tmp_path/'real/0.bmp', tmp_path/'in/x.bmp')
    assert seen(tmp_path/'in', 'all') == [10]
    greys(tmp_path/'real', [20], 'bmp')
    assert seen(tmp_path/'in', 'all') == [20]


def test_a_pipe_and_a_folder_called_like_pictures_are_no_pictures(tmp_path):
    greys(tmp_path, [10], 'bmp'); os.mkfifo(tmp_path/'pipe.png'); (tmp_path/'folder.png').mkdir()
    with pytest.warns(UserWarning, match='1 file passed over.*pipe.png'): assert seen(tmp_path, 'all') == [10]


def test_a_name_in_big5_is_read_and_can_be_told(tmp_path):
    name = b'\xa4\xe9.bmp'.decode('utf-8', 'surrogateescape')
    try: greys(tmp_path, [10], 'bmp')/'0.bmp'; (tmp_path/'0.bmp').rename(tmp_path/name)
    except OSError: pytest.skip('this file system takes Unicode only')
    assert seen(tmp_path, 'all') == [10] and open_pictures(tmp_path, 'all', 8, progress=False).names == [name]
    (tmp_path/name).write_bytes(b'')
    greys(tmp_path, [20], 'bmp')
    with pytest.warns(UserWarning, match='udca4') as said:
        p = open_pictures(tmp_path, 'all', 8, on_bad='skip', progress=False)
    assert (str(said[0].message) + p.skipped[0]).encode() and len(p) == 1
    fails(open_pictures, tmp_path, 'all', 8, progress=False, says=['udca4', 'empty'])


JUNK = [b'Exif\0\0MM\0*\0\0\0\x08\xff\xff', b'Exif\0\0II*\0\xff\xff\xff\xff', b'Exif\0\0', b'rubbish', b'\0'*40,
        b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x09not a no\0']


@pytest.mark.parametrize('junk', JUNK)
@pytest.mark.parametrize('ending', ['png', 'jpg', 'webp', 'tif'])
def test_rubbish_in_the_exif_costs_no_pixel(tmp_path, junk, ending):
    picture = Image.new('RGB', (8, 8), (100,)*3)
    try: picture.save(tmp_path/f'a.{ending}', exif=junk)
    except Exception: pytest.skip('Pillow does not write this rubbish into this format')
    assert abs(int(pixel(tmp_path/f'a.{ending}')[4, 4, 0]) - 100) < 3


@pytest.mark.parametrize('mark', range(1, 9))
def test_each_orientation_is_what_pillow_says(tmp_path, mark):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8))
    exif = Image.Exif(); exif[0x0112] = mark
    noise.save(tmp_path/'a.png', exif=exif)
    want = ImageOps.exif_transpose(Image.open(tmp_path/'a.png'))
    assert np.array_equal(pixel(tmp_path/'a.png', 12), np.asarray(want))


@pytest.mark.parametrize('ending', ['jfif', 'jpe', 'JPG', 'JPEG', 'avif', 'WEBP', 'jp2', 'ico', 'pcx', 'mpo', 'apng',
                                    'qoi', 'dib', 'pbm', 'tiff'])
def test_every_ending_of_pillow_is_a_picture(tmp_path, ending):
    kind = Image.registered_extensions()['.' + ending.lower()]
    if kind not in Image.SAVE: pytest.skip(f'this Pillow writes no {kind}')
    Image.new('RGB', (16, 16), 'white').convert('1' if ending == 'pbm' else 'RGB').save(tmp_path/f'a.{ending}', kind)
    assert pixel(read_folder(tmp_path, 'all').files[0]).min() > 240
    (tmp_path/'train').mkdir(); (tmp_path/f'a.{ending}').rename(tmp_path/f'train/a.{ending}')
    (tmp_path/'train.csv').write_text(f'image_name,Bald\na.{ending},1\n')
    assert open_pictures(tmp_path, size=8, progress=False).labels.tolist() == [[1]]


def homeless(folder, cache, result):
    os.environ.pop('HOME', None); os.environ.pop('XDG_CACHE_HOME', None); os.environ.pop('DLCV_GAN_CACHE', None)
    os.setgid(54321); os.setuid(54321)          # nobody's number, as containers have it
    if cache: os.environ['DLCV_GAN_CACHE'] = str(cache)
    try: said = f'{len(cache_pictures(read_folder(folder, "all"), 8, progress=False))} pictures'
    except Exception as e: said = f'{type(e).__name__}: {e}'
    with open(result, 'w') as f: f.write(said)


def test_nobodys_home_is_asked_for_only_when_it_is_needed():
    if not hasattr(os, 'getuid') or os.getuid() != 0: pytest.skip('only root can become nobody')
    with tempfile.TemporaryDirectory() as root:
        root = Path(root); greys(root/'in', [10, 20], 'bmp')
        for name in ('open', 'shut'): (root/name).mkdir()
        (root/'open').chmod(0o777); root.chmod(0o755); (root/'in').chmod(0o755)
        for cache, words in ((root/'open'/'c', ['2 pictures']),
                             (None, ['no home folder', 'DLCV_GAN_CACHE', f'{root/"in"}']),
                             (root/'shut'/'c', ['Permission denied', 'DLCV_GAN_CACHE'])):
            (root/'open'/'said').unlink(missing_ok=True)
            child(homeless, root/'in', cache, root/'open'/'said').join()
            for word in words: assert word in (root/'open'/'said').read_text()


def test_a_tilde_in_the_place_of_the_cache_is_the_home(folder, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path)); monkeypatch.setenv('USERPROFILE', str(tmp_path))
    monkeypatch.setenv('DLCV_GAN_CACHE', '~/mine')
    cache_pictures(read_folder(folder, 'all'), 8, progress=False); assert list((tmp_path/'mine').rglob('*.npy'))


def test_a_builder_waits_for_the_lock(folder, tmp_path):
    build(folder, tmp_path/'c')
    done, = (tmp_path/'c').glob('*-64')
    shutil.rmtree(done)
    with FileLock(tmp_path/'c'/f'{done.name}.lock'): # the name that every system's builders agree on
        thread = threading.Thread(target=build, args=(folder, tmp_path/'c')); thread.start()
        thread.join(.3); assert thread.is_alive() and not done.exists()
    thread.join(20); assert done.exists()


# --- Pictures, and folders of every layout

def pictures(n=5):
    images, labels = np.arange(n*48, dtype=np.uint8).reshape(n, 4, 4, 3), np.eye(n, 3, dtype=np.uint8)
    return Pictures(images, labels, ['Male', 'Smiling', 'Young'], [f'{i}.png' for i in range(n)])


def test_pictures_slices_and_columns():
    p = pictures()
    assert len(p) == 5 and torch.equal(p.tensor(2), to_float(p.images[2:3])[0]) and p.tensor(0).shape == (3, 4, 4)
    x, y = p[1]
    assert torch.equal(x, p.tensor(1)) and y.tolist() == [0., 1., 0.] and y.dtype == torch.float32
    mask = np.array([1, 0, 0, 0, 1], bool)
    for index, want in [(slice(1, 4), [1, 2, 3]), ([3, 0], [3, 0]), (mask, [0, 4]), (slice(None, None, -2), [4, 2, 0]),
                        ([], [])]:
        q = p[index]
        assert q.names == [f'{i}.png' for i in want]
        assert np.array_equal(q.images, p.images[want]) and np.array_equal(q.labels, p.labels[want])
    assert p.with_attributes(['Young', 'Male']).labels[:3].tolist() == [[0, 1], [0, 0], [1, 0]]
    fails(p.with_attributes, ['smiling'], says=["'Smiling'"])
    fails(p.with_attributes, ['Hat'], says=['Male, Smiling, Young'])
    fails(Pictures(p.images).with_attributes, ['Male'], says=['no labels'])
    fails(p.with_attributes, ['Male', 'Male '], says=["'Male'"])
    fails(p.with_attributes, 'Male', says=['list'])
    twice = Pictures(p.images, p.labels, ['Male', 'Male', 'Young'])
    fails(twice.with_attributes, ['Male'], says=['2 columns', "'Male'"])
    with pytest.raises(IndexError): p[9]


def test_a_folder_of_any_layout_is_recognised(tmp_path):
    hw4(tmp_path/'a', ['a.png,0,1'])
    celeba(tmp_path/'b', [f'{i:06d}.jpg' for i in range(30)])
    celeba(tmp_path/'t/celeba', [f'{i:06d}.jpg' for i in range(30)])
    anime(tmp_path/'c', '\n'.join(f'{i},blue hair:1\tred eyes:1' for i in range(30)), n=30)
    for i in range(3): dot(tmp_path/f'd/trainA/{i}.jpg')
    assert open_pictures(tmp_path/'a', size=8, progress=False).attributes == ['Bangs', 'Smiling']
    for f in 'bt':
        both = [open_pictures(tmp_path/f, s, 8, progress=False) for s in ('train', 'test')]
        assert both[0].attributes == ['Bald', 'Young'] and len(both[0]) + len(both[1]) == 30
    assert open_pictures(tmp_path/'c', 'all', 8, progress=False).attributes == ANIME_TAGS
    assert len(open_pictures(tmp_path/'d', 'trainA', 8, progress=False)) == 3
    fails(open_pictures, tmp_path/'d', kind=FileNotFoundError,
          says=['list_attr_celeba.txt', 'train.csv', 'tags_clean.csv', 'train.json', 'pictures'])
    fails(open_pictures, tmp_path/'z', kind=FileNotFoundError, says=['z'])
    hw4(tmp_path/'a', ['a.png,0,1', 'b.png,0,3'])
    with pytest.warns(UserWarning):
        assert len(open_pictures(tmp_path/'a', size=8, on_bad='skip', progress=False).skipped) == 1


# --- torchvision

def idx(array): return struct.pack(f'>BBBB{array.ndim}I', 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


class Quiet(http.server.SimpleHTTPRequestHandler):
    served = []
    def do_GET(self): self.served.append(self.path); super().do_GET()
    def log_message(self, *args): pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    "A folder behind a real HTTP server on this machine."
    monkeypatch.setenv('no_proxy', '127.0.0.1'); (tmp_path/'www').mkdir(); Quiet.served.clear()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(tmp_path/'www')))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path/'www', f'http://127.0.0.1:{server.server_port}/'
    server.shutdown(); server.server_close()


def tiny_mnist(folder, url):
    rng, resources = np.random.default_rng(0), []
    for part, n in (('train', 12), ('t10k', 5)):
        images, labels = rng.integers(0, 256, (n, 28, 28), np.uint8), (np.arange(n)%10).astype(np.uint8)
        for kind, array in (('images-idx3', images), ('labels-idx1', labels)):
            data = gzip.compress(idx(array), mtime=0); name = f'{part}-{kind}-ubyte.gz'
            (folder/name).write_bytes(data); resources.append((name, hashlib.md5(data).hexdigest()))
    return type('TinyMNIST', (MNIST,), dict(mirrors=[url], resources=resources))


def test_mnist_is_downloaded_checked_and_cached(served, tmp_path):
    www, url = served
    kind = tiny_mnist(www, url)
    p = torchvision_pictures(kind, tmp_path/'root', size=28, progress=False)
    assert p.images.shape == (12, 28, 28,
                              3) and p.attributes == MNIST.classes and p.labels.argmax(1).tolist() == [*range(10), 0, 1]
    assert np.array_equal(p.images[..., 0], kind(str(tmp_path/'root')).data.numpy())
    n = len(Quiet.served)
    assert len(torchvision_pictures(kind, tmp_path/'root', 'test', 32, progress=False)) == 5
    assert len(Quiet.served) == n                                      # nothing is fetched twice
    fails(torchvision_pictures, kind, tmp_path/'root', 'valid', says=["'valid'"])


def test_wrong_checksum_names_the_way_by_hand(served, tmp_path):
    www, url = served
    kind = tiny_mnist(www, url); (www/'t10k-labels-idx1-ubyte.gz').write_bytes(b'half')
    says = ['TinyMNIST', 'By hand', url + 't10k-labels-idx1-ubyte.gz', 'TinyMNIST/raw', 'curl -C -']
    fails(torchvision_pictures, kind, tmp_path/'root', kind=OSError, says=says)
    # the server is mended: only what is missing is fetched
    tiny_mnist(www, url)
    Quiet.served.clear(); torchvision_pictures(kind, tmp_path/'root', size=28, progress=False)
    assert {Path(s).name for s in Quiet.served} == {'t10k-labels-idx1-ubyte.gz'}


def test_server_gone(tmp_path):
    kind = type('TinyMNIST', (MNIST,), dict(mirrors=['http://127.0.0.1:9/']))
    fails(torchvision_pictures, kind, tmp_path, kind=OSError, says=['By hand', 'raw'])


def test_cifar_on_disk_format(served, tmp_path):
    www, url = served
    folder, rng, sums = www/'cifar-10-batches-py', np.random.default_rng(1), {}
    folder.mkdir()
    def put(name, obj):
        (folder/name).write_bytes(pickle.dumps(obj)); sums[name] = hashlib.md5((folder/name).read_bytes()).hexdigest()
    data = {name: rng.integers(0, 256, (4, 3072), np.uint8)
            for name in [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch']}
    for name, d in data.items(): put(name, dict(data=d, labels=[0, 1, 2, 9]))
    put('batches.meta', dict(label_names=[f'c{i}' for i in range(10)]))
    with tarfile.open(www/'c.tar.gz', 'w:gz') as t: t.add(folder, 'cifar-10-batches-py')
    md5 = hashlib.md5((www/'c.tar.gz').read_bytes()).hexdigest()
    listed = [[name, sums[name]] for name in data]
    meta = dict(filename='batches.meta', key='label_names', md5=sums['batches.meta'])
    body = dict(url=url + 'c.tar.gz', filename='c.tar.gz', tgz_md5=md5, meta=meta, train_list=listed[:5],
                test_list=listed[5:])
    kind = type('TinyCIFAR', (CIFAR10,), body)
    p = torchvision_pictures(kind, tmp_path/'root', size=32, progress=False)
    assert len(p) == 20 and p.attributes == [f'c{i}' for i in range(10)]
    assert p.labels[:4].argmax(1).tolist() == [0, 1, 2, 9]
    assert np.array_equal(p.images[0].transpose(2, 0, 1).ravel(), data['data_batch_1'][0])
    test = torchvision_pictures(kind, tmp_path/'root', 'test', 32, download=False, progress=False)
    assert np.array_equal(test.images[3].transpose(2, 0, 1).ravel(), data['test_batch'][3])


def test_celeba_of_torchvision(tmp_path):
    base = tmp_path/'celeba'; base.mkdir()
    rows = [f'{i:06d}.jpg' for i in range(1, 5)]
    for i, n in enumerate(rows): dot(base/'img_align_celeba'/n, 20*i)
    table = ''.join(f'{n} {1 if i == 2 else -1:2d}  1\n' for i, n in enumerate(rows))
    (base/'list_attr_celeba.txt').write_text('4\nBald Young \n' + table)
    (base/'list_eval_partition.txt').write_text(''.join(f'{n} {int(i > 1)*2}\n' for i, n in enumerate(rows)))
    (base/'identity_CelebA.txt').write_text(''.join(f'{n} 1\n' for n in rows))
    for f, k in (('list_bbox_celeba.txt', 4), ('list_landmarks_align_celeba.txt', 10)):
        (base/f).write_text('4\n' + ' '.join('x'*k) + '\n' + ''.join(f'{n} ' + '1 '*(k-1) + '1\n' for n in rows))
    listed = [(i, hashlib.md5((base/f).read_bytes()).hexdigest() if (base/f).exists() else '', f)
              for i, _, f in CelebA.file_list]
    kind = type('TinyCelebA', (CelebA,), dict(file_list=listed))
    p = torchvision_pictures(kind, tmp_path, size=8, download=False, progress=False)
    assert p.attributes == ['Bald', 'Young'] and p.labels.tolist() == [[0, 1], [0, 1]] and p.names == rows[:2]
    assert torchvision_pictures(kind, tmp_path, 'test', 8, download=False,
                                progress=False).labels.tolist() == [[1, 1], [0, 1]]
    # our own reader sees the same
    assert np.array_equal(open_pictures(tmp_path, size=8, progress=False).images, p.images)
    fails(torchvision_pictures, 'CelebA', tmp_path/'none', download=False, kind=OSError,
          says=['img_align_celeba.zip', 'drive.google.com', 'celeba'])


def test_torchvision_faults(tmp_path):
    fails(torchvision_pictures, 'MNISTT', tmp_path, says=["'MNIST'"])
    fails(from_torchvision, FakeData(3, transform=ToTensor()), cache=tmp_path, says=['FakeData', 'transforms'])
    p = from_torchvision(FakeData(3, (3, 9, 9), 4), 8, cache=tmp_path, progress=False)
    assert p.images.shape == (3, 8, 8, 3) and p.labels is None


def test_torchvision_sets_of_one_name_and_length_are_told_apart(tmp_path):
    "FakeData says neither its seed nor its size when it is printed."
    for offset in (0, 7):
        data = FakeData(3, (3, 8, 8), 4, random_offset=offset)
        p = from_torchvision(data, 8, cache=tmp_path, progress=False)
        assert np.array_equal(p.images, np.stack([np.asarray(x) for x, _ in data]))


def test_image_folder_is_keyed_by_its_files(tmp_path):
    for i, c in enumerate(('cat/a.png', 'dog/b.png', 'dog/c.png')): dot(tmp_path/'in'/c, i)
    p = from_torchvision(ImageFolder(tmp_path/'in'), 8, cache=tmp_path/'c', progress=False)
    assert p.attributes == ['cat', 'dog'] and p.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert p.names == ['cat/a.png', 'dog/b.png', 'dog/c.png']
    dot(tmp_path/'in/dog/c.png', 77); os.utime(tmp_path/'in/dog/c.png', ns=(1, 1))
    assert from_torchvision(ImageFolder(tmp_path/'in'), 8, cache=tmp_path/'c', progress=False).images[2, 0, 0, 0] == 77
